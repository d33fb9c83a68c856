"""Small worlds for the tests of what-ifs: documents to a state, and changes written as a person writes them."""

from __future__ import annotations

from typing import Any

from serving import a_microservice, a_subcluster

from federation.app import schemas, whatif_planner
from federation.errors import InvalidInput, InvalidInputs
from federation.intake.resources import validate
from federation.intake.tree import Document
from federation.model.meta import Key
from federation.whatif.documents import UNDATED
from federation.whatif.expecting import CaseResult, run_test
from federation.whatif.playing import play
from federation.whatif.reading import BoundScenario, read_scenario, read_test
from federation.whatif.report import ScenarioReport
from federation.whatif.state import State, state_of

API = "roam.federation/v1alpha1"
PLANNER = whatif_planner()
US = {"country": "US", "latitude": 41.0, "longitude": -93.0, "operator": "Cloud", "operatorCountry": "US"}
GB = {"country": "GB", "latitude": 51.5, "longitude": -0.1, "operator": "Albion", "operatorCountry": "GB"}
CHEAP, DEAR = ({"cpuHour": usd, "memoryGiBHour": usd / 8} for usd in (0.01, 0.05))


def service(name: str, *, cpu: str = "1", **spec: Any) -> dict[str, Any]:
    """A microservice in `shop` that asks for so many cores, labelled `app: <name>`."""
    document = a_microservice(name, **spec)
    document["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": cpu, "memory": "1Gi"}}
    document["metadata"]["labels"] = {"app": name}
    return document


def policy(name: str, **spec: Any) -> dict[str, Any]:
    """A placement policy in `shop`."""
    metadata = {"name": name, "namespace": "shop"}
    return {"apiVersion": API, "kind": "PlacementPolicy", "metadata": metadata, "spec": spec}


def a_fleet() -> list[dict[str, Any]]:
    """A cheap place at home, a dear one in the US."""
    home, iowa = a_subcluster("home", pricing=CHEAP), a_subcluster("iowa", pricing=DEAR, location=US)
    home["metadata"]["labels"], iowa["metadata"]["labels"] = {"tier": "onprem"}, {"tier": "public"}
    return [home, iowa]


def state(*documents: dict[str, Any], at: float = UNDATED) -> State:
    """The documents as a state."""
    found = schemas()
    return state_of([validate(document, found, namespace="shop") for document in documents], at)


def scenario(*steps: list[dict[str, Any]]) -> BoundScenario:
    """A scenario of `shop`, each step given by its changes. Raises: InvalidInputs."""
    value = {
        "apiVersion": API,
        "kind": "Scenario",
        "metadata": {"name": "what", "namespace": "shop"},
        "spec": {"steps": [{"changes": changes} for changes in steps]},
    }
    errors: list[InvalidInput] = []
    found = read_scenario(Document("scenario.yaml", value, 1), schemas(), "default", errors)
    if found is None:
        raise InvalidInputs(tuple(errors))
    return found


def played(start: State, *steps: list[dict[str, Any]]) -> ScenarioReport:
    """What comes of the steps."""
    return play(scenario(*steps), start, PLANNER)


def case_of(start: State, expect: dict[str, Any], changes: list[dict[str, Any]] | None = None) -> CaseResult:
    """The outcome of a case with one expectation. Raises: InvalidInputs, InvalidInput."""
    value = {
        "apiVersion": API,
        "kind": "PolicyTest",
        "metadata": {"name": "test", "namespace": "shop"},
        "spec": {"cases": [{"name": "case", "changes": changes or [], "expect": [expect]}]},
    }
    errors: list[InvalidInput] = []
    found = read_test(Document("test.yaml", value, 1), schemas(), "default", errors)
    if found is None:
        raise InvalidInputs(tuple(errors))
    return run_test(found, start, PLANNER).cases[0]


def places(report: ScenarioReport, step: int = -1) -> dict[str, tuple[str, str]]:
    """Who moved in a step, by name: from where to where."""
    return {one.key.name: (_text(one.before), _text(one.after)) for one in report.steps[step].moves}


def _text(targets: Any) -> str:
    return ",".join(f"{target.subcluster}={target.replicas}" for target in targets)


def shop(name: str) -> Key:
    """A key in `shop`."""
    return Key("shop", name)

"""The acts: a migration by command, a sub-cluster killed hard, a rule that comes later, a sub-cluster drained."""

from __future__ import annotations

import time

from federation import sandbox
from federation.app import plan_resources
from federation.cli.demo.evaluate import Act
from federation.cli.demo.stage import NAMESPACE, Stage
from federation.cli.demo.watching import PLAN_KINDS, fetch
from federation.errors import NotFound, TimedOut
from federation.model.migration import ENDED

AFTER_KILL_S = 8.0
"""How long is looked for late failures after a kill; more than the 5 s that are allowed."""
RULE = "catalogue-in-the-netherlands.yaml"
DRAINED_AT_A_TIME = "2"


def migrate(stage: Stage) -> Act:
    """(a) The service moves, by command."""
    source, target, name = stage.home_of(stage.key), _choose_target(stage), stage.key.name
    stage.screen.title(f"(a) {name} moves from {source} to {target}, under load")
    version, record = stage.version(), _Record(stage, "migrate", name, planned=True)
    stage.roam("migrate", name, "-n", NAMESPACE, "--to", target, "--interval", stage.options.interval)
    stage.follow(
        lambda: stage.migrations(version),
        lambda: all(each["status"]["phase"] in ENDED for each in stage.migrations(version)),
        f"the migration of {stage.key}",
    )
    return record.end(source, target)


def kill(stage: Stage) -> Act:
    """(b) The sub-cluster that the service runs in is killed hard."""
    victim, name = stage.home_of(stage.key), stage.key.name
    stage.screen.title(f"(b) {victim}, which runs {name}, is killed hard")
    record = _Record(stage, "kill", name, planned=False)
    sandbox.kill(stage.options.home, victim)
    stage.screen.step(f"kill -9: the agent of {victim}, all it ran, and its gateway")

    def restored() -> bool:
        placement = stage.get("placements", name)
        ready = {entry["subcluster"]: entry["ready"] for entry in placement["status"].get("running", [])}
        targets = [target["subcluster"] for target in placement["spec"]["targets"]]
        return victim not in targets and all(ready.get(name) for name in targets)

    if not stage.watch(60.0, restored):
        raise TimedOut(f"{stage.key} was not running elsewhere within 60 s of the loss of {victim}")
    home, took_s = stage.home_of(stage.key), time.time() - record.start_s
    stage.screen.step(f"{name} runs in {home}, {took_s:.1f} s after the kill, without hands")
    stage.watch(max(0.0, record.start_s + AFTER_KILL_S - time.time()))
    return record.end(victim, home)


def forbid(stage: Stage) -> Act:
    """(c) A residency rule is added that forbids where the service runs; it has to be gone within the rule's grace."""
    source, name = stage.home_of(stage.key), stage.key.name
    stage.screen.title(f"(c) a rule is added that forbids {name} in {source}, under load")
    version, record = stage.version(), _Record(stage, "forbid", name, planned=True)
    stage.roam("apply", "-f", str(stage.options.examples / "rules" / RULE))
    stage.referee.learn(time.time())

    def moved() -> bool:
        placement = stage.get("placements", name)
        left = [each["subcluster"] for each in placement["status"].get("running", []) if each["replicas"]]
        return source not in left and not placement["status"].get("overtaken")

    stage.follow(lambda: stage.migrations(version), moved, f"the move of {stage.key} out of {source}")
    target = stage.home_of(stage.key)
    stage.screen.step(f"{name} left {source} {time.time() - record.start_s:.1f} s after the rule was added")
    return record.end(source, target)


def drain(stage: Stage) -> Act:
    """(d) A sub-cluster is emptied, in waves."""
    source = _choose_crowded(stage)
    leaving = stage.residents(source)
    stage.screen.title(f"(d) {source} is drained of {' and '.join(leaving)}, under load")
    version, record = stage.version(), _Record(stage, "drain", " ".join(leaving), planned=True)
    stage.referee.close_off(source)
    stage.roam("drain", source, "--parallel", DRAINED_AT_A_TIME)

    def empty() -> bool:
        conditions = stage.get("subclusters", source, "")["status"].get("conditions", [])
        return any(each["type"] == "Drained" and each["status"] == "True" for each in conditions)

    stage.follow(lambda: stage.migrations(version), empty, f"the drain of {source}")
    homes = sorted({stage.home_of(stage.key._replace(name=name)) for name in leaving})
    return record.end(source, " ".join(homes))


class _Record:
    """What has to be noted at the beginning of an act to report it at its end."""

    def __init__(self, stage: Stage, name: str, service: str, *, planned: bool) -> None:
        self._stage, self._name, self._service, self._planned = stage, name, service, planned
        stage.referee.begin(strict=planned)
        self._retried, self.start_s = stage.retries.read(), time.time()

    def end(self, source: str, target: str) -> Act:
        stage = self._stage
        return Act(
            self._name,
            self._service,
            source,
            target,
            self._planned,
            self.start_s,
            time.time(),
            stage.retries.read() - self._retried,
            stage.referee.end(),
        )


def _choose_target(stage: Stage) -> str:
    """The cheapest other place for the service, one on rented ground: the killer comes for it next."""
    judgement = plan_resources(fetch(stage.client, *PLAN_KINDS), time.time(), certify=False)
    request = judgement.request
    rented = {
        subcluster.metadata.name
        for subcluster, place in zip(request.view.subclusters, request.view.places, strict=True)
        if place.cloud != "onprem"
    }
    candidates = judgement.candidates(stage.key).candidates
    open_ones = [c for c in candidates if c.verdict == "feasible" and c.subcluster in rented]
    if not open_ones:
        raise NotFound(f"no other place can take {stage.key}")
    return min(open_ones, key=lambda c: (c.cost_usd_per_hour or 0.0, c.subcluster)).subcluster


def _choose_crowded(stage: Stage) -> str:
    """The sub-cluster on rented ground with the most services, the moved one's own apart: that one may stay."""
    home = stage.home_of(stage.key)
    found = stage.client.items("subclusters")[0]
    rented = [
        str(each["metadata"]["name"]) for each in found if each["metadata"].get("labels", {}).get("tier") == "public"
    ]
    others = [name for name in rented if name != home and stage.residents(name)]
    if not others:
        raise NotFound("no rented sub-cluster beside the one of the moved service runs anything")
    return max(others, key=lambda name: (len(stage.residents(name)), name))

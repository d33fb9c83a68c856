"""What every driver must do, as tests: subclass `DriverSuite` and give it its fixtures.

    class TestMyDriver(DriverSuite):
        @pytest.fixture
        def driver(self): ...            # a handle on a real sub-cluster with room for a few small pods
        @pytest.fixture
        def stranger(self): ...          # a handle on the same with credentials that are wrong
        @pytest.fixture
        def silent(self): ...            # a handle whose sub-cluster takes calls and never answers

Each test uses workloads of its own and deletes them, so one sub-cluster can serve all tests. Needs pytest.
"""

from __future__ import annotations

import base64
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
from pydantic import JsonValue

from federation.contracts.driver import LogQuery, PodState, SubClusterDriver, Workload, WorkloadState
from federation.errors import Denied, InvalidInput, NoCapacity, NotFound, Unavailable
from federation.model.meta import Key
from federation.model.microservice import Port
from federation.model.offers import machines

SECRET = "correct-horse-battery-staple"  # noqa: S105 - made up, to look for where it must not be
SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path != "/never" else 503)
        self.end_headers()
        self.wfile.write(os.environ.get("ANSWER", "").encode())
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer((os.environ["POD_IP"], 8080), Handler).serve_forever()
"""


@dataclass(frozen=True)
class DriverTraits:
    """What differs between drivers. `patience_s`: in which time pods become ready and go; `call_s`: the deadline of a
    call; `image`: of containers, with Python 3 in it."""

    patience_s: float = 30.0
    call_s: float = 10.0
    image: str = "python:3.12-slim"


class View:
    """What a driver says runs, followed by cursor."""

    def __init__(self, driver: SubClusterDriver, call_s: float) -> None:
        self.driver = driver
        self.workloads: dict[Key, WorkloadState] = {}
        self._cursor: str | None = None
        self._call_s = call_s

    def refresh(self, wait_s: float = 0.0) -> None:
        """Take in one observation."""
        seen = self.driver.observe(self._cursor, wait_s=wait_s, deadline_s=wait_s + self._call_s)
        if seen.complete:
            self.workloads = {}
        self.workloads |= {state.key: state for state in seen.workloads}
        for key in seen.gone:
            self.workloads.pop(key, None)
        self._cursor = seen.cursor

    def until(self, condition: Callable[[View], bool], within_s: float) -> None:
        """Follow until `condition` holds. Fails the test after `within_s` seconds."""
        deadline = time.monotonic() + within_s
        self.refresh()
        while not condition(self):
            left = deadline - time.monotonic()
            assert left > 0, f"not within {within_s} s; last seen: {self.workloads}"
            self.refresh(min(left, 1.0))

    def ready(self, key: Key) -> int:
        """How many pods of a workload are ready."""
        return sum(pod.ready for pod in self.workloads[key].pods) if key in self.workloads else 0

    def names(self, key: Key) -> set[str]:
        """The names of a workload's pods that are not on their way out."""
        return {pod.name for pod in self.workloads[key].pods if pod.phase != "Terminating"}


class DriverSuite:
    """The suite. Override `traits` and the fixtures."""

    traits: ClassVar[DriverTraits] = DriverTraits()

    @pytest.fixture
    def driver(self) -> SubClusterDriver:
        """A handle on a real sub-cluster."""
        raise NotImplementedError("give the suite a driver")

    @pytest.fixture
    def stranger(self) -> SubClusterDriver:
        """A handle with wrong credentials on the same sub-cluster."""
        raise NotImplementedError("give the suite a driver with wrong credentials")

    @pytest.fixture
    def silent(self) -> SubClusterDriver:
        """A handle on something that never answers."""
        raise NotImplementedError("give the suite a driver without an answer")

    @pytest.fixture
    def key(self, driver: SubClusterDriver) -> Iterator[Key]:
        """The key of a workload of this test's own; what was applied under it is gone afterwards."""
        key = Key("conformance", f"w-{uuid.uuid4().hex[:8]}")
        yield key
        driver.delete(key, deadline_s=self.traits.call_s)
        self._until(driver, lambda view: key not in view.workloads)

    @pytest.fixture
    def view(self, driver: SubClusterDriver) -> View:
        """A view of the sub-cluster."""
        return View(driver, self.traits.call_s)

    def workload(self, key: Key, *, replicas: int = 1, revision: str = "1", path: str = "/") -> Workload:
        """A small web server; with `path` "/never" it never becomes ready."""
        container: dict[str, JsonValue] = {
            "name": "web",
            "image": self.traits.image,
            "command": ["python3", "-c", "$(SERVER)"],
            "env": [
                {"name": "SERVER", "value": SERVER},
                {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "ANSWER", "value": revision},
            ],
            "ports": [{"name": "http", "containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": path, "port": "http"}, "periodSeconds": 1},
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        }
        template: dict[str, JsonValue] = {
            "metadata": {"labels": {"app": key.name}},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
        }
        return Workload(key, revision, replicas, template, ports=(Port(port=80, target_port="http", protocol="http"),))

    def test_offers_what_is_there(self, driver: SubClusterDriver) -> None:
        """There is at least one offer, with room, in the order of names."""
        offers = driver.offers(deadline_s=self.traits.call_s)
        assert offers
        assert [offer.name for offer in offers] == sorted(offer.name for offer in offers)
        assert all(offer.cpu_cores > 0 and offer.memory_bytes > 0 for offer in offers)
        types = [offer.instance_type for offer in machines(offers)]
        assert len(types) == len(set(types)), "each type of machine once"

    def test_starts_what_was_asked_for(self, driver: SubClusterDriver, key: Key, view: View) -> None:
        """All replicas become ready, each with a name, an address and its ports."""
        self._apply(driver, self.workload(key, replicas=2))
        self._until(driver, lambda view: view.ready(key) == 2, view)
        state = view.workloads[key]
        assert (state.revision, state.replicas) == ("1", 2)
        assert len({pod.name for pod in state.pods}) == len({pod.address for pod in state.pods}) == 2
        assert all((dict(pod.ports), pod.phase, pod.revision) == ({80: 8080}, "Running", "1") for pod in state.pods)

    def test_applying_again_changes_nothing(self, driver: SubClusterDriver, key: Key, view: View) -> None:
        """The same workload twice leaves the same pods, and nobody is told of a change."""
        self._apply(driver, self.workload(key, replicas=2))
        self._until(driver, lambda view: view.ready(key) == 2, view)
        before = view.workloads[key]
        self._apply(driver, self.workload(key, replicas=2))
        view.refresh(wait_s=0.3)
        assert view.workloads[key] == before

    def test_scales_up_and_down(self, driver: SubClusterDriver, key: Key, view: View) -> None:
        """More replicas are added beside those that run; fewer keep some of them."""
        self._apply(driver, self.workload(key, replicas=1))
        self._until(driver, lambda view: view.ready(key) == 1, view)
        first = view.names(key)
        self._apply(driver, self.workload(key, replicas=3))
        self._until(driver, lambda view: view.ready(key) == 3, view)
        three = view.names(key)
        assert first < three
        self._apply(driver, self.workload(key, replicas=2))
        self._until(driver, lambda view: len(view.workloads[key].pods) == 2, view)
        assert view.names(key) < three
        assert view.ready(key) == 2

    def test_to_zero_and_back(self, driver: SubClusterDriver, key: Key, view: View) -> None:
        """Without replicas a workload is still known."""
        self._apply(driver, self.workload(key, replicas=1))
        self._until(driver, lambda view: view.ready(key) == 1, view)
        self._apply(driver, self.workload(key, replicas=0))
        self._until(driver, lambda view: key in view.workloads and not view.workloads[key].pods, view)
        self._apply(driver, self.workload(key, replicas=1))
        self._until(driver, lambda view: view.ready(key) == 1, view)

    def test_new_revision_comes_without_a_gap(self, driver: SubClusterDriver, key: Key, view: View) -> None:
        """At every moment as many pods are ready as before, until all are of the new revision."""
        self._apply(driver, self.workload(key, replicas=2))
        self._until(driver, lambda view: view.ready(key) == 2, view)

        def renewed(view: View) -> bool:
            assert view.ready(key) >= 2
            return {pod.revision for pod in view.workloads[key].pods} == {"2"} and len(view.workloads[key].pods) == 2

        self._apply(driver, self.workload(key, replicas=2, revision="2"))
        self._until(driver, renewed, view)

    def test_bad_revision_leaves_the_old_pods(self, driver: SubClusterDriver, key: Key, view: View) -> None:
        """A revision that never becomes ready does not replace one that is."""
        self._apply(driver, self.workload(key))
        self._until(driver, lambda view: view.ready(key) == 1, view)
        old = view.names(key)
        self._apply(driver, self.workload(key, revision="2", path="/never"))
        self._until(driver, lambda view: any(pod.revision == "2" for pod in view.workloads[key].pods), view)
        view.refresh(wait_s=0.5)
        assert old <= view.names(key)
        assert view.ready(key) == 1

    def test_an_only_pod_waits_for_its_successor(self, driver: SubClusterDriver, key: Key, view: View) -> None:
        """With `min_available` as large as `replicas` nothing stops before its successor is ready."""
        self._apply(driver, replace(self.workload(key), min_available=1))
        self._until(driver, lambda view: view.ready(key) == 1, view)

        def renewed(view: View) -> bool:
            assert view.ready(key) >= 1
            return [pod.revision for pod in view.workloads[key].pods] == ["2"]

        self._apply(driver, replace(self.workload(key, revision="2"), min_available=1))
        self._until(driver, renewed, view)

    def test_not_ready_before_its_probe_says_so(self, driver: SubClusterDriver, key: Key, view: View) -> None:
        """A running pod whose probe fails is not ready."""
        self._apply(driver, self.workload(key, path="/never"))
        self._until(driver, lambda view: any(p.phase == "Running" for p in _pods(view, key)), view)
        view.refresh(wait_s=0.5)
        assert view.ready(key) == 0

    def test_delete_is_graceful_and_final(self, driver: SubClusterDriver, key: Key, view: View) -> None:
        """A deleted workload's pods stop being ready at once, then all of it is gone, and a watcher is told."""
        self._apply(driver, self.workload(key, replicas=2))
        self._until(driver, lambda view: view.ready(key) == 2, view)
        driver.delete(key, deadline_s=self.traits.call_s)
        self._until(driver, lambda view: view.ready(key) == 0, view)
        self._until(driver, lambda view: key not in view.workloads, view)
        driver.delete(key, deadline_s=self.traits.call_s)

    def test_delete_of_what_never_was(self, driver: SubClusterDriver) -> None:
        """No error."""
        driver.delete(Key("conformance", "never-was"), deadline_s=self.traits.call_s)

    def test_comes_back_after_delete(self, driver: SubClusterDriver, key: Key, view: View) -> None:
        """The same key can be used again at once."""
        self._apply(driver, self.workload(key))
        self._until(driver, lambda view: view.ready(key) == 1, view)
        old = view.names(key)
        driver.delete(key, deadline_s=self.traits.call_s)
        self._apply(driver, self.workload(key, revision="2"))
        self._until(driver, lambda view: view.ready(key) == 1 and not view.names(key) & old, view)

    def test_unknown_cursor_is_told_everything(self, driver: SubClusterDriver, key: Key) -> None:
        """Without a cursor, or with one that means nothing here, the answer is complete and comes at once."""
        self._apply(driver, self.workload(key))
        for cursor in (None, "", "made up", "x:999999999999999999999"):
            began = time.monotonic()
            seen = driver.observe(cursor, wait_s=5.0, deadline_s=5.0 + self.traits.call_s)
            assert seen.complete
            assert key in {state.key for state in seen.workloads}
            assert time.monotonic() - began < 4.0

    def test_watching_costs_nothing_while_nothing_happens(self, driver: SubClusterDriver) -> None:
        """A known cursor waits as long as asked for, and then answers with no change."""
        cursor = driver.observe(None, wait_s=0.0, deadline_s=self.traits.call_s).cursor
        began = time.monotonic()
        seen = driver.observe(cursor, wait_s=0.5, deadline_s=0.5 + self.traits.call_s)
        assert time.monotonic() - began >= 0.4
        assert (seen.complete, seen.workloads, seen.gone) == (False, (), ())

    def test_change_ends_the_wait(self, driver: SubClusterDriver, key: Key) -> None:
        """Who watches is told at once, and only of what changed."""
        other = replace(self.workload(Key(key.namespace, f"{key.name}-other")), replicas=0)
        self._apply(driver, other)
        cursor = driver.observe(None, wait_s=0.0, deadline_s=self.traits.call_s).cursor
        threading.Timer(0.2, lambda: self._apply(driver, replace(self.workload(key), replicas=0))).start()
        began = time.monotonic()
        seen = driver.observe(cursor, wait_s=self.traits.patience_s, deadline_s=self.traits.patience_s + 5.0)
        assert time.monotonic() - began < self.traits.patience_s / 2
        assert [state.key for state in seen.workloads] == [key]
        driver.delete(other.key, deadline_s=self.traits.call_s)
        self._until(driver, lambda view: other.key not in view.workloads)

    def test_no_room_is_said(self, driver: SubClusterDriver, key: Key, view: View) -> None:
        """What asks for more than there is, is refused as a whole."""
        offers = driver.offers(deadline_s=self.traits.call_s)
        greedy = self.workload(key)
        spec = greedy.template["spec"]
        assert isinstance(spec, dict)
        container = {
            **spec["containers"][0],  # type: ignore[index,dict-item]
            "resources": {"requests": {"cpu": str(2 * sum(offer.cpu_cores for offer in offers))}},
        }
        greedy = replace(greedy, template={"spec": {**spec, "containers": [container]}})
        with pytest.raises(NoCapacity, match="cores"):
            self._apply(driver, greedy)
        view.refresh()
        assert key not in view.workloads

    def test_missing_configuration_is_named(self, driver: SubClusterDriver, key: Key, view: View) -> None:
        """A pod that refers to what is not there waits, and says for what; values of secrets are not told."""
        self._apply(driver, self._with_secret(key, wanted="absent"))
        self._until(driver, lambda view: any("absent" in p.message for p in _pods(view, key)), view)
        pod = view.workloads[key].pods[0]
        assert (pod.ready, pod.phase) == (False, "Pending")
        assert SECRET not in repr(view.workloads)

    def test_secrets_do_not_show(self, driver: SubClusterDriver, key: Key, view: View) -> None:
        """Not in the workload's `repr`, nor in what is observed."""
        workload = self._with_secret(key, wanted="password")
        assert SECRET not in repr(workload)
        assert base64.b64encode(SECRET.encode()).decode() not in repr(workload)
        self._apply(driver, workload)
        self._until(driver, lambda view: view.ready(key) == 1, view)
        assert SECRET not in repr(view.workloads)

    def test_nonsense_is_refused(self, driver: SubClusterDriver, key: Key, view: View) -> None:
        """A template that can't be a pod is the caller's fault, and starts nothing."""
        with pytest.raises(InvalidInput):
            self._apply(driver, replace(self.workload(key), template={"spec": {"containers": []}}))
        view.refresh()
        assert key not in view.workloads

    def test_a_job_runs_to_its_end_once(self, driver: SubClusterDriver, key: Key, view: View) -> None:
        """It completes, says so, and is not run again when it is applied again, changed or not, until it is deleted."""
        job = self._job(key, "print('done')", completions=2, parallelism=1)
        self._apply(driver, job)
        self._until(driver, lambda view: key in view.workloads and view.workloads[key].outcome == "Complete", view)
        ended = {pod.name for pod in view.workloads[key].pods}
        assert {pod.phase for pod in view.workloads[key].pods} == {"Succeeded"}
        self._apply(driver, replace(job, revision="2"))
        self._until(driver, lambda view: view.workloads[key].revision == "2", view)
        view.refresh(wait_s=0.5)
        assert view.workloads[key].outcome == "Complete"
        assert {pod.name for pod in view.workloads[key].pods} == ended
        driver.delete(key, deadline_s=self.traits.call_s)
        self._until(driver, lambda view: key not in view.workloads, view)
        self._apply(driver, job)
        self._until(driver, lambda view: key in view.workloads and view.workloads[key].outcome == "Complete", view)
        assert not {pod.name for pod in view.workloads[key].pods} & ended

    def test_a_job_that_fails_says_why(self, driver: SubClusterDriver, key: Key, view: View) -> None:
        """After as many retries as its `backoffLimit` it is Failed, with the reason."""
        self._apply(driver, self._job(key, "raise SystemExit(3)", backoffLimit=1))
        self._until(driver, lambda view: key in view.workloads and view.workloads[key].outcome == "Failed", view)
        assert "BackoffLimitExceeded" in view.workloads[key].message

    def test_logs(self, driver: SubClusterDriver, key: Key, view: View) -> None:
        """What a pod wrote: all of it, the last lines, what came since; by name, or of all pods."""
        if not driver.capabilities().logs:
            pytest.skip("it keeps no logs")
        script = "import sys, time\nfor n in range(5): print('line', n, flush=True)\ntime.sleep(1000)"
        self._apply(driver, self._script(key, script, replicas=2))
        call_s = self.traits.call_s

        def lines(query: LogQuery) -> list[list[str]]:
            return [list(log.lines) for log in driver.logs(key, query, deadline_s=call_s).logs]

        whole = [f"line {n}" for n in range(5)]
        self._until(driver, lambda view: view.ready(key) == 2 and lines(LogQuery()) == [whole, whole], view)
        pod = view.workloads[key].pods[0].name
        assert lines(LogQuery(pod=pod, container="web")) == [whole]
        assert lines(LogQuery(pod=pod, tail_lines=2)) == [whole[-2:]]
        assert lines(LogQuery(tail_lines=0)) == [[], []]
        cursor = driver.logs(key, LogQuery(), deadline_s=call_s).cursor
        assert lines(LogQuery(cursor=cursor)) == [[], []]
        for query in (LogQuery(pod="none-such"), LogQuery(container="none-such"), LogQuery(previous=True)):
            with pytest.raises(NotFound):
                driver.logs(key, query, deadline_s=call_s)
        with pytest.raises(NotFound):
            driver.logs(Key("conformance", "never-was"), LogQuery(), deadline_s=call_s)

    def test_logs_of_the_run_before(self, driver: SubClusterDriver, key: Key, view: View) -> None:
        """`previous` tells what a container wrote before it was started again."""
        if not driver.capabilities().logs:
            pytest.skip("it keeps no logs")
        script = (
            "import os, time\nmark = os.environ.get('TMPDIR', '/tmp') + '/ran'\nagain = os.path.exists(mark)\n"
            "open(mark, 'w').close()\n"
            "print('second' if again else 'first', flush=True)\ntime.sleep(1000 if again else 0)\n"
            "raise SystemExit(1)"
        )
        self._apply(driver, self._script(key, script))
        self._until(driver, lambda view: any(p.restarts == 1 for p in _pods(view, key)), view)
        call_s = self.traits.call_s
        before = driver.logs(key, LogQuery(previous=True), deadline_s=call_s)
        assert [log.lines for log in before.logs] == [("first",)]

    def test_usage(self, driver: SubClusterDriver, key: Key, view: View) -> None:
        """A busy pod uses processor time, and every pod memory."""
        if not driver.capabilities().usage:
            pytest.skip("it does not measure")
        self._apply(driver, self._script(key, "import time\nwhile time.sleep(0.001) is None: sum(range(40_000))"))

        def busy(_view: View) -> bool:
            found = [use for use in driver.usage(deadline_s=self.traits.call_s) if use.key == key]
            return len(found) == 1 and found[0].cpu_cores > 0.02 and found[0].memory_bytes > 2**20

        self._until(driver, busy, view)

    def test_wrong_credentials_are_denied(self, stranger: SubClusterDriver, key: Key) -> None:
        """In every call, without a word of the credentials."""
        call_s = self.traits.call_s
        for call in (
            lambda: stranger.offers(deadline_s=call_s),
            lambda: stranger.observe(None, wait_s=0.0, deadline_s=call_s),
            lambda: stranger.apply(self.workload(key), deadline_s=call_s),
            lambda: stranger.delete(key, deadline_s=call_s),
            lambda: stranger.logs(key, LogQuery(), deadline_s=call_s),
            lambda: stranger.usage(deadline_s=call_s),
        ):
            with pytest.raises((Denied, NotFound)) as caught:
                call()
            assert isinstance(caught.value, Denied)

    def test_deadlines_are_kept(self, silent: SubClusterDriver) -> None:
        """No answer in time is `Unavailable`, in time."""
        key = Key("conformance", "silence")
        for call in (
            lambda: silent.offers(deadline_s=0.3),
            lambda: silent.observe(None, wait_s=0.0, deadline_s=0.3),
            lambda: silent.observe("x", wait_s=60.0, deadline_s=0.3),
            lambda: silent.apply(self.workload(key), deadline_s=0.3),
            lambda: silent.delete(key, deadline_s=0.3),
        ):
            began = time.monotonic()
            with pytest.raises(Unavailable):
                call()
            assert time.monotonic() - began < 1.5

    def test_serves_several_threads(self, driver: SubClusterDriver, key: Key) -> None:
        """Calls from many threads at once all end well, and as if one had been made."""
        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(self._apply, driver, self.workload(key, replicas=2)) for _ in range(16)]:
                done.result(self.traits.patience_s)
        view = View(driver, self.traits.call_s)
        self._until(driver, lambda view: view.ready(key) == 2, view)
        assert len(view.workloads[key].pods) == 2

    def _script(self, key: Key, script: str, replicas: int = 1, **pod: JsonValue) -> Workload:
        """A container that runs a Python program and listens to nothing."""
        workload = self.workload(key, replicas=replicas)
        container: dict[str, JsonValue] = {
            "name": "web",
            "image": self.traits.image,
            "command": ["python3", "-c", script],
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        }
        template: dict[str, JsonValue] = {
            "metadata": {"labels": {"app": key.name}},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": [container], **pod},
        }
        return replace(workload, template=template, ports=())

    def _job(self, key: Key, script: str, **spec: JsonValue) -> Workload:
        workload = self._script(key, script, restartPolicy="Never")
        job: dict[str, JsonValue] = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": key.name, "namespace": key.namespace},
            "spec": {**spec, "template": dict(workload.template)},
        }
        return replace(workload, objects=(job,))

    def _with_secret(self, key: Key, *, wanted: str) -> Workload:
        workload = self.workload(key)
        spec = workload.template["spec"]
        assert isinstance(spec, dict)
        container = spec["containers"][0]  # type: ignore[index]
        assert isinstance(container, dict)
        env = [
            *container["env"],  # type: ignore[misc]
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "credentials", "key": wanted}}},
        ]
        secret: dict[str, JsonValue] = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "credentials", "namespace": key.namespace},
            "data": {"password": base64.b64encode(SECRET.encode()).decode()},
        }
        template: dict[str, JsonValue] = {"spec": {**spec, "containers": [{**container, "env": env}]}}
        return replace(workload, template=template, objects=(secret,))

    def _apply(self, driver: SubClusterDriver, workload: Workload) -> None:
        driver.apply(workload, deadline_s=self.traits.call_s)

    def _until(self, driver: SubClusterDriver, condition: Callable[[View], bool], view: View | None = None) -> None:
        (view or View(driver, self.traits.call_s)).until(condition, self.traits.patience_s)


def _pods(view: View, key: Key) -> tuple[PodState, ...]:
    return view.workloads[key].pods if key in view.workloads else ()

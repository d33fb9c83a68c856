"""What pods wrote and what they use, asked of the sub-clusters that run them.

GET .../microservices/NAME/log?subcluster=&pod=&container=&tailLines=&previous=&follow=   one JSON object per line
GET /apis/<group>/<version>/usage?namespace=                                            what every pod uses
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeVar

from federation.contracts.driver import LogQuery, Logs, PodUsage, SubClusterDriver
from federation.contracts.store import Store
from federation.errors import FederationError, NotFound, Unavailable
from federation.model.meta import API_VERSION, FLEET, Key
from federation.model.microservice import Microservice
from federation.model.placement import Placement
from federation.model.subcluster import SubCluster
from federation.server.access import Caller
from federation.server.answers import Answer, Refused
from federation.server.extras import Extra, Lines, Page, Subresource
from federation.server.requests import Request
from federation.server.routes import Route

CALL_S: Final = 5.0
"""How long a sub-cluster may take to answer."""
LOOK_S: Final = 0.5
"""How often is looked for new lines while they are followed."""
FOLLOW_LIMIT_S: Final = 4 * 3600.0
"""How long they are followed at most."""
MOST_LINES: Final = 100_000
_PARALLEL: Final = 8
_MEDIA_TYPE: Final = "application/x-ndjson"

T = TypeVar("T")
OpenDriver = Callable[[SubCluster], SubClusterDriver]


def pod_extras(store: Store, open_driver: OpenDriver) -> tuple[Extra, ...]:
    """What this adds to the API."""
    reader = Pods(store, Handles(open_driver))
    return (
        Subresource("microservices", "log", reader.log),
        Page(f"/apis/{API_VERSION}/usage", reader.usage),
    )


class Handles:
    """Handles on sub-clusters, kept open while their records stay as they are. Safe to use from several threads."""

    def __init__(self, open_driver: OpenDriver) -> None:
        self._open = open_driver
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[object, SubClusterDriver]] = {}

    def driver(self, subcluster: SubCluster) -> SubClusterDriver:
        """A handle on it. Raises: InvalidInput, Denied."""
        name = subcluster.metadata.name
        with self._lock:
            kept = self._kept.get(name)
            if kept is not None and kept[0] == subcluster.spec:
                return kept[1]
            driver = self._open(subcluster)
            self._kept[name] = (subcluster.spec, driver)
        if kept is not None:
            kept[1].close()
        return driver


@dataclass(frozen=True)
class Wanted:
    """What a request for logs asks: of one sub-cluster ("" for all), which lines, and whether to go on."""

    subcluster: str
    query: LogQuery
    follow: bool


class Pods:
    """Answers requests about pods."""

    def __init__(self, store: Store, handles: Handles) -> None:
        self._store = store
        self._handles = handles

    def log(self, route: Route, request: Request, _caller: Caller) -> Answer | Lines:
        """The lines, sub-cluster by sub-cluster. Raises: NotFound, Unavailable, Refused."""
        wanted = _wanted(request)
        self._store.get(Microservice, route.key)
        places = self._places(route.key, wanted.subcluster)
        answers = self._ask(places, lambda driver, _name: driver.logs(route.key, wanted.query, deadline_s=CALL_S))
        found = {name: answer for name, answer in answers.items() if isinstance(answer, Logs)}
        if not found and not (wanted.follow and all(isinstance(error, NotFound) for error in answers.values())):
            _raise(answers)
        first = b"".join(_lines(answers))
        if not wanted.follow:
            return Answer(200, first, media_type=_MEDIA_TYPE)
        return Lines(
            self._follow(route.key, wanted, first, {name: one.cursor for name, one in found.items()}), _MEDIA_TYPE
        )

    def usage(self, request: Request, caller: Caller) -> Answer:
        """What pods use, as far as the caller may see them, and which sub-clusters could not say."""
        namespace = request.query.get("namespace", "")
        places = {each.metadata.name: each for each in self._store.list(SubCluster).items}
        answers = self._ask(places, lambda driver, _name: _usage(driver))
        items = [
            {
                "subcluster": name,
                "namespace": one.key.namespace,
                "service": one.key.name,
                "pod": one.pod,
                "cpuCores": one.cpu_cores,
                "memoryBytes": one.memory_bytes,
            }
            for name, answer in answers.items()
            if not isinstance(answer, FederationError)
            for one in answer
            if namespace in ("", one.key.namespace)
            and (caller.namespaces is None or one.key.namespace in caller.namespaces)
        ]
        problems = [
            {"subcluster": name, "message": str(answer)}
            for name, answer in answers.items()
            if isinstance(answer, FederationError)
        ]
        return Answer(200, {"apiVersion": API_VERSION, "kind": "UsageList", "items": items, "problems": problems})

    def _places(self, key: Key, subcluster: str) -> dict[str, SubCluster]:
        """The sub-clusters where it runs or shall run, by name. Raises: NotFound."""
        placement = self._store.get(Placement, key)
        names = {one.subcluster for one in placement.status.running if one.replicas}
        names |= {target.subcluster for target in placement.spec.targets}
        if subcluster:
            names &= {subcluster}
        if not names:
            where = f" in {subcluster}" if subcluster else " anywhere"
            raise NotFound(f"{key} does not run{where}")
        found = {}
        for name in sorted(names):
            try:
                found[name] = self._store.get(SubCluster, Key(FLEET, name))
            except NotFound:
                continue
        return found

    def _ask(
        self, places: Mapping[str, SubCluster], ask: Callable[[SubClusterDriver, str], T]
    ) -> dict[str, T | FederationError]:
        """Every place at once; its answer, or why there is none."""

        def one(name: str) -> T | FederationError:
            try:
                return ask(self._handles.driver(places[name]), name)
            except FederationError as error:
                return error

        if len(places) <= 1:
            return {name: one(name) for name in places}
        with ThreadPoolExecutor(min(_PARALLEL, len(places)), thread_name_prefix="pods") as pool:
            return dict(zip(places, pool.map(one, places), strict=True))

    def _follow(self, key: Key, wanted: Wanted, first: bytes, cursors: Mapping[str, str]) -> Generator[bytes | None]:
        """What is there, then what comes, wherever its pods are by then."""
        yield first or None
        known = dict(cursors)
        ends_at = time.monotonic() + FOLLOW_LIMIT_S
        pause = threading.Event()
        told: set[str] = set()
        while time.monotonic() < ends_at:
            pause.wait(LOOK_S)
            try:
                places = self._places(key, wanted.subcluster)
            except NotFound:
                return
            queries = {name: replace(wanted.query, tail_lines=None, cursor=known.get(name, "{}")) for name in places}
            answers = self._ask(places, partial(_continue, key, queries))
            known |= {name: answer.cursor for name, answer in answers.items() if isinstance(answer, Logs)}
            failed = {n for n, a in answers.items() if isinstance(a, FederationError) and not isinstance(a, NotFound)}
            silent, told = told & failed, failed
            yield b"".join(_lines({name: answer for name, answer in answers.items() if name not in silent})) or None


def _continue(key: Key, queries: Mapping[str, LogQuery], driver: SubClusterDriver, name: str) -> Logs:
    return driver.logs(key, queries[name], deadline_s=CALL_S)


def _usage(driver: SubClusterDriver) -> tuple[PodUsage, ...]:
    if not driver.capabilities().usage:
        raise NotFound("it does not measure what its pods use")
    return driver.usage(deadline_s=CALL_S)


def _wanted(request: Request) -> Wanted:
    tail = request.number("tailLines") if "tailLines" in request.query else None
    if tail is not None and tail > MOST_LINES:
        raise Refused(400, f"tailLines: at most {MOST_LINES}")
    query = LogQuery(
        pod=request.query.get("pod", ""),
        container=request.query.get("container", ""),
        tail_lines=tail,
        previous=request.flag("previous"),
    )
    follow = request.flag("follow")
    if follow and query.previous:
        raise Refused(400, "what ended can't be followed: leave out follow or previous")
    return Wanted(request.query.get("subcluster", ""), query, follow)


def _raise(answers: Mapping[str, object]) -> None:
    """Raise what a request meets when no sub-cluster has anything for it: the first that did not answer at all, else
    what the first one said."""
    errors = [error for error in answers.values() if isinstance(error, FederationError)]
    worst = next((error for error in errors if not isinstance(error, NotFound)), None) or (
        errors[0] if errors else None
    )
    if isinstance(worst, NotFound):
        raise worst
    raise Unavailable(str(worst) if worst is not None else "no sub-cluster that runs it is known")


def _lines(answers: Mapping[str, Logs | FederationError]) -> Iterable[bytes]:
    for subcluster, answer in answers.items():
        if isinstance(answer, NotFound):
            continue
        if isinstance(answer, FederationError):
            yield _line({"subcluster": subcluster, "error": str(answer)})
            continue
        for log in answer.logs:
            for line in log.lines:
                yield _line({"subcluster": subcluster, "pod": log.pod, "container": log.container, "line": line})


def _line(document: Mapping[str, str]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"

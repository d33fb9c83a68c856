"""What shall run in the sub-cluster and what does: takes orders, keeps capacity, rolls pods over. Event loop only."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from federation.contracts.driver import PodState, Workload, WorkloadState
from federation.errors import NoCapacity, NotFound, Unavailable
from federation.model.meta import Key
from providers.local.agent.environment import Configuration, Identity
from providers.local.agent.inspection import PodFiles, PodProcesses
from providers.local.agent.jobs import Job, JobPod, JobSpec
from providers.local.agent.journal import Journal
from providers.local.agent.orders import RESOURCES, Order
from providers.local.agent.pods import Pod, PodPlan, start_turns
from providers.local.agent.processes import Processes
from providers.local.agent.rollout import PodView, Steps, least_ready, plan_pods
from providers.local.agent.volumes import Claims, free_claims

log: Final = logging.getLogger(__name__)
# Pods begin at .1.1 of a block: what is below belongs to the agent and the gateway.
FIRST_POD_OFFSET: Final = 257
# Sums of binary fractions such as 0.1 are not exact.
TOLERANCE: Final = 1e-6
# Tells one Job of a name from a later one.
UID_LABEL: Final = "roam.federation/uid"


@dataclass(frozen=True)
class Place:
    """The sub-cluster: its name, the agent's address, the block of pod addresses, `cpu` cores and `memory` bytes;
    `linger_s`, for how long a ready pod that is replaced goes on before it is told to stop; `headroom`, of the same
    resources, held back beyond the capacity for pods that replace others."""

    name: str
    address: str
    block: ipaddress.IPv4Network
    capacity: Mapping[str, float]
    directory: Path
    path: str
    linger_s: float = 0.0
    headroom: Mapping[str, float] = field(default_factory=dict)

    def limit(self, resource: str, *, replacing: bool) -> float:
        """How much may be reserved in all."""
        reserve = self.headroom.get(resource, 0.0) if replacing else 0.0
        return self.capacity.get(resource, 0.0) + reserve


@dataclass
class Entry:
    """A workload under supervision. `vacated`: pods that are gone, and whose successors have their room."""

    order: Order
    replicas: int
    pods: dict[str, Pod] = field(default_factory=dict)
    deleting: bool = False
    waiting: bool = False
    job: Job | None = None
    alarm: asyncio.TimerHandle | None = None
    vacated: list[Pod] = field(default_factory=list)

    @property
    def claims(self) -> int:
        """How many pods have a right to their place."""
        return 0 if self.job is not None and self.job.ended else self.replicas

    @property
    def replacing(self) -> bool:
        """Whether pods are there that others shall take the place of."""
        pods = (*self.pods.values(), *self.vacated)
        return self.job is None and any(pod.plan.content != self.order.content for pod in pods)

    @property
    def lacks(self) -> bool:
        """Whether it has fewer pods than it shall have."""
        return not self.deleting and len(self.pods) < self.claims

    def asks_for(self, workload: Workload) -> bool:
        """Whether this revision is what was asked for already."""
        return not self.deleting and self.order.workload.revision == workload.revision


class Supervisor:
    """Makes pods be what was ordered."""

    def __init__(self, place: Place, processes: Processes, journal: Journal) -> None:
        self.place = place
        self._processes = processes
        self._journal = journal
        self._claims = Claims(place.directory / "volumes")
        self._entries: dict[Key, Entry] = {}
        self._addresses: set[int] = set()
        # Anywhere in the block, so that a restarted agent does not give a new pod the address of one that just died.
        self._last_address = secrets.randbelow(place.block.num_addresses)
        self._used = dict.fromkeys(RESOURCES, 0.0)
        self._births = 0
        self._turns = start_turns()
        self._orders: dict[str, int] = {}
        self._reserving: set[str] = set()
        self._ready_since: dict[str, float] = {}
        self._closing = False

    async def apply(self, order: Order) -> None:
        """Make it run, or change what runs to it. Idempotent. Raises: NoCapacity; Unavailable (stopping)."""
        if self._closing:
            raise Unavailable(f"the agent of {self.place.name} is stopping")
        workload = order.workload
        entry = self._entries.get(workload.key)
        if entry is not None and entry.asks_for(workload) and entry.replicas == workload.replicas:
            entry.order = order  # what must stay available may be another number
            return
        if entry is None or entry.job is None or entry.deleting:
            self._check_room(order, entry)
        if entry is None:
            entry = self._entries[workload.key] = Entry(order, workload.replicas)
        log.info("%s: revision %s, %d replicas", workload.key, workload.revision, workload.replicas)
        if order.job is None:
            entry.job = None
        elif entry.job is None or entry.deleting:
            entry.job = self._open_job(order, order.job)
        entry.order, entry.replicas, entry.deleting = order, workload.replicas, False
        self._reconcile(entry)

    def _open_job(self, order: Order, spec: JobSpec) -> Job:
        key = order.workload.key
        file = self.place.directory / "jobs" / f"{key.namespace}_{key.name}.json"
        return Job.open(spec, order.workload.labels.get(UID_LABEL, ""), file, time.time())

    async def delete(self, key: Key) -> None:
        """Stop it gracefully and forget it, with what it claimed. Idempotent."""
        entry = self._entries.get(key)
        if entry is None:
            self._discard_claims(key)
        if entry is not None and not entry.deleting:
            log.info("%s: deleted", key)
            entry.replicas, entry.deleting = 0, True
            if entry.job is not None:
                entry.job.forget()
            for pod in entry.pods.values():
                pod.stop()  # whoever deletes a workload has taken it out of every route before
            self._reconcile(entry)

    def _discard_claims(self, key: Key) -> None:
        free = self._claims.discard(key)
        if free is not None:
            asyncio.get_running_loop().run_in_executor(None, free)

    async def close(self, within_s: float) -> None:
        """Stop every pod gracefully, each in its grace period but none longer than `within_s` seconds."""
        self._closing = True
        pods = [pod for entry in self._entries.values() for pod in entry.pods.values()]
        for pod in pods:
            pod.stop(at_most_s=within_s)
        if pods:
            await asyncio.wait([asyncio.ensure_future(pod.wait_gone()) for pod in pods], timeout=within_s + 1.0)

    async def files(self, key: Key) -> list[PodFiles]:
        """Where its pods write, oldest pod first. Raises: NotFound."""
        entry = self._entries.get(key)
        if entry is None:
            raise NotFound(f"{key} does not run in {self.place.name}")
        pods = sorted(entry.pods.values(), key=lambda pod: self._orders[pod.name])
        return [
            PodFiles(pod.name, pod.plan.directory, tuple(c.name for c in pod.plan.template.containers()), pod.running)
            for pod in pods
        ]

    async def processes(self) -> list[PodProcesses]:
        """All pods, with their containers that run."""
        pods = ((key, pod) for key, entry in self._entries.items() for pod in entry.pods.values())
        return [PodProcesses(key, pod.name, pod.pids) for key, pod in pods]

    def used(self) -> dict[str, float]:
        """What the pods that exist reserve, by resource."""
        return {resource: max(0.0, round(used, 9)) for resource, used in self._used.items()}

    def _check_room(self, order: Order, entry: Entry | None) -> None:
        replicas = order.workload.replicas
        if entry is not None and entry.asks_for(order.workload) and replicas <= entry.replicas:
            return
        for resource in RESOURCES:
            others = sum(
                other.claims * other.order.requests[resource] for other in self._entries.values() if other is not entry
            )
            needed = replicas * order.requests[resource]
            capacity = self.place.capacity.get(resource, 0.0)
            free = capacity - others
            if needed > free + TOLERANCE and needed > 0:
                raise NoCapacity(
                    f"{order.workload.key} needs {_amount(resource, needed)}; "
                    f"{_amount(resource, max(free, 0.0))} of {_amount(resource, capacity)} "
                    f"are free in {self.place.name}"
                )

    def _room(self, entry: Entry) -> int:
        """How many more such pods fit right now, beside all that exist."""
        fits = 1_000_000
        for resource in RESOURCES:
            request = entry.order.requests[resource]
            if request > 0:
                fits = min(fits, max(0, int((self._free(entry, resource) + TOLERANCE) / request)))
        return fits

    def _free(self, entry: Entry, resource: str) -> float:
        """How much of a resource new pods may reserve."""
        kept = sum(pod.plan.template.request(resource) for pod in entry.vacated)
        return self.place.limit(resource, replacing=entry.replacing) - self._used[resource] + kept

    def _reconcile(self, entry: Entry) -> None:
        key = entry.order.workload.key
        if self._entries.get(key) is not entry:
            return
        if entry.deleting and not entry.pods:
            while entry.vacated:
                self._release(entry.vacated.pop())
            del self._entries[key]
            self._journal.remove(key)
            self._discard_claims(key)
            return
        if self._closing:
            self._publish(entry)
            return
        self._carry_out(entry, self._plan_job(entry, entry.job) if entry.job else self._plan_service(entry))
        while entry.vacated and not entry.lacks:
            self._release(entry.vacated.pop())
        self._publish(entry)

    def _plan_service(self, entry: Entry) -> Steps:
        content = entry.order.content
        views = [
            PodView(
                pod.name, pod.plan.content == content, self._stands(entry, pod), pod.stopping, self._orders[pod.name]
            )
            for pod in entry.pods.values()
        ]
        return plan_pods(
            entry.replicas,
            views,
            one_writer=entry.order.one_writer,
            room=self._room(entry),
            min_available=entry.order.workload.min_available,
        )

    def _stands(self, entry: Entry, pod: Pod) -> bool:
        """Whether a pod is ready, and a new one has been for so long that others may make way for it."""
        if not pod.ready:
            self._ready_since.pop(pod.name, None)
            return False
        if pod.plan.content != entry.order.content or not entry.replacing:
            return True
        loop = asyncio.get_running_loop()
        left_s = self._ready_since.setdefault(pod.name, loop.time()) + entry.order.min_ready_s - loop.time()
        if left_s > 0:
            loop.call_later(left_s, self._reconcile, entry)
        return left_s <= 0

    def _plan_job(self, entry: Entry, job: Job) -> Steps:
        if entry.deleting:
            return Steps(0, tuple(entry.pods))
        views = []
        for pod in entry.pods.values():
            if pod.ended:
                self._release(pod)
            message = pod.describe()[2]
            views.append(
                JobPod(pod.name, pod.ended, pod.succeeded, pod.stopping, pod.restarts, self._orders[pod.name], message)
            )
        steps = job.step(views, self._room(entry), time.time())
        if entry.alarm is not None:
            entry.alarm.cancel()
        loop = asyncio.get_running_loop()
        entry.alarm = loop.call_later(steps.again_s, self._reconcile, entry) if steps.again_s is not None else None
        return Steps(steps.start, steps.stop, steps.waiting)

    def _carry_out(self, entry: Entry, steps: Steps) -> None:
        entry.waiting = steps.waiting
        for _ in range(steps.start):
            pod = self._start_pod(entry)
            entry.pods[pod.name] = pod
        # A pod that is replaced still gets requests from whoever has not heard of it yet. One writer's successor waits
        # for its end, and whoever deletes a workload has taken it out of every route before.
        lingers = not (entry.deleting or entry.order.one_writer)
        for name in steps.stop:
            entry.pods[name].stop(linger_s=self.place.linger_s if lingers else 0.0)

    def _start_pod(self, entry: Entry) -> Pod:
        order = entry.order
        key, revision = order.workload.key, order.workload.revision
        digest = order.content[:6]
        name = f"{key.name}-{digest}-{secrets.token_hex(3)[:5]}"
        address = self._take_address()
        identity = Identity(
            name=name,
            namespace=key.namespace,
            uid=str(uuid.uuid4()),
            address=address,
            host_address=self.place.address,
            node=self.place.name,
            allocatable=self.place.capacity,
        )
        plan = PodPlan(
            identity=identity,
            revision=revision,
            content=order.content,
            template=order.template,
            ports=order.ports,
            directory=self.place.directory / "pods" / f"{key.namespace}_{name}",
            path=self.place.path,
            config=Configuration(order.workload.objects),
            turns=self._turns,
            claims=self._claims.of(key),
            claimed=free_claims(key.name, order.claims, [pod.plan.claimed for pod in entry.pods.values()]),
        )
        if entry.vacated:
            self._release(entry.vacated.pop())
        for resource in RESOURCES:
            self._used[resource] += order.requests[resource]
        self._reserving.add(name)
        self._births += 1
        self._orders[name] = self._births
        log.info("%s: pod %s on %s", key, name, address)
        return Pod(plan, self._processes, lambda: self._pod_changed(entry), lambda pod: self._pod_gone(entry, pod))

    def _pod_changed(self, entry: Entry) -> None:
        # Later, in a fresh call: a change may come from the middle of a decision.
        asyncio.get_running_loop().call_soon(self._reconcile, entry)

    def _pod_gone(self, entry: Entry, pod: Pod) -> None:
        log.info("%s: pod %s is gone", entry.order.workload.key, pod.name)
        entry.pods.pop(pod.name, None)
        self._orders.pop(pod.name, None)
        self._ready_since.pop(pod.name, None)
        self._addresses.discard(int(ipaddress.IPv4Address(pod.plan.identity.address)))
        if entry.order.one_writer and entry.job is None and entry.lacks:
            entry.vacated.append(pod)  # its successor must not have to wait for what others take meanwhile
        else:
            self._release(pod)
        self._pod_changed(entry)

    def _release(self, pod: Pod) -> None:
        """Give back what a pod had reserved; whoever waits for room may look again. Idempotent."""
        if pod.name not in self._reserving:
            return
        self._reserving.discard(pod.name)
        for resource in RESOURCES:
            self._used[resource] -= pod.plan.template.request(resource)
        for other in self._entries.values():
            if other.waiting:
                self._pod_changed(other)

    def _take_address(self) -> str:
        block = self.place.block
        first, count = int(block.network_address), block.num_addresses
        for _ in range(count):
            self._last_address = (self._last_address + 1) % count
            address = first + self._last_address
            usable = self._last_address >= FIRST_POD_OFFSET and self._last_address % 256 not in (0, 255)
            if usable and address not in self._addresses:
                self._addresses.add(address)
                return str(ipaddress.IPv4Address(address))
        raise NoCapacity(f"all addresses of {block} are in use")

    def _publish(self, entry: Entry) -> None:
        workload = entry.order.workload
        pods = sorted(entry.pods.values(), key=lambda pod: self._orders[pod.name])
        job = entry.job
        self._journal.publish(
            WorkloadState(
                key=workload.key,
                revision=workload.revision,
                replicas=entry.replicas,
                pods=tuple(_state(pod, entry.order) for pod in pods),
                message=self._message(entry),
                outcome=job.progress.outcome if job is not None else "",
                waiting=entry.waiting,
            )
        )

    def _message(self, entry: Entry) -> str:
        order, workload = entry.order, entry.order.workload
        parts = [entry.job.message] if entry.job is not None else []
        if entry.waiting:
            parts.append(self._lack(entry))
            ready = sum(pod.ready for pod in entry.pods.values())
            if entry.replacing:
                least = least_ready(entry.replicas, workload.min_available)
                parts.append(f"{ready} ready, of which {least} must stay, so no old pod makes way")
        elif order.unmounted:
            names = ", ".join(order.unmounted)
            parts.append(f"runs without {names}: this sub-cluster mounts no volumes of that kind")
        return "; ".join(parts)

    def _lack(self, entry: Entry) -> str:
        """What one more pod waits for."""
        lacking = []
        for resource in RESOURCES:
            request = entry.order.requests[resource]
            free = max(0.0, self._free(entry, resource))
            if request > free + TOLERANCE:
                need, there = _amount(resource, request), _amount(resource, free)
                lacking.append(f"one more pod needs {need}, {there} are free")
        return f"waits for room: {' and '.join(lacking)}" if lacking else "waits for room"


def _state(pod: Pod, order: Order) -> PodState:
    phase, reason, message = pod.describe()
    return PodState(
        name=pod.name,
        address=pod.plan.identity.address,
        ready=pod.ready,
        revision=order.workload.revision if pod.plan.content == order.content else pod.plan.revision,
        ports=pod.plan.ports,
        phase=phase,
        reason=reason,
        message=message,
        restarts=pod.restarts,
    )


def _amount(resource: str, value: float) -> str:
    if resource == "cpu":
        return f"{round(value, 3):g} cores"
    return f"{round(value / 2**30, 3):g} GiB of memory"

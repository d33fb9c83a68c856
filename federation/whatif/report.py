"""What came of a step: who moves and why, what it costs, who has no place, who runs where it may not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from federation.model.meta import Key
from federation.model.placement import Target, counts_of, what_changes
from federation.model.plan import PlannedService
from federation.whatif.settle import Settled
from federation.whatif.state import State

Type = Literal["new", "move", "scale", "stopped"]
NO_ROOM, DENIED = 3, 4
"""Exit codes, as everywhere."""


@dataclass(frozen=True)
class Moved:
    """A service that is elsewhere, or has other replicas, than before. `reason`: Placed, Scaled, Stopped, Failover,
    Policy, Taint, Drain, Preference or Cost, the first of several."""

    key: Key
    type: Type
    before: tuple[Target, ...]
    after: tuple[Target, ...]
    reason: str
    why: str

    def document(self) -> dict[str, Any]:
        """As JSON-like data, snake_case."""
        return {
            "namespace": self.key.namespace,
            "service": self.key.name,
            "type": self.type,
            "from": [target.model_dump() for target in self.before],
            "to": [target.model_dump() for target in self.after],
            "reason": self.reason,
            "why": self.why,
        }


@dataclass(frozen=True)
class Trouble:
    """A service that lacks a place for all or some of its replicas, or that runs where it may not. `runs`: where it
    does; `lacks`: what is against every other place, a rule ("denied") or room, or a way to move it ("full"); `why`:
    sentences, for one out of policy first the rule that it breaks."""

    key: Key
    runs: tuple[Target, ...]
    lacks: Literal["denied", "full"]
    why: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """As JSON-like data, snake_case."""
        return {
            "namespace": self.key.namespace,
            "service": self.key.name,
            "runs": [target.model_dump() for target in self.runs],
            "verdict": self.lacks,
            "reasons": list(self.why),
        }


@dataclass(frozen=True)
class StepReport:
    """One step's outcome, services ordered by key. `changes` in words; `free_usd_per_hour`: what the planner would have
    all of it cost if everything could be moved at will; `bound_usd_per_hour` and `gap`: the plan's certificate."""

    name: str
    changes: tuple[str, ...]
    moves: tuple[Moved, ...]
    unplaced: tuple[Trouble, ...]
    out_of_policy: tuple[Trouble, ...]
    under_way: tuple[Key, ...]
    before_usd_per_hour: float
    after_usd_per_hour: float
    free_usd_per_hour: float
    bound_usd_per_hour: float | None
    gap: float | None
    ended: bool = True

    @property
    def difference_usd_per_hour(self) -> float:
        """What it costs more."""
        return round(self.after_usd_per_hour - self.before_usd_per_hour, 9)

    @property
    def exit_code(self) -> int:
        """4 when a service is denied everywhere (else), 3 when one has no room, else 0."""
        lacks = {one.lacks for one in (*self.unplaced, *self.out_of_policy)}
        return DENIED if "denied" in lacks else NO_ROOM if lacks else 0

    def document(self) -> dict[str, Any]:
        """As JSON-like data, snake_case; stable names that programs may rely on."""
        return {
            "name": self.name,
            "changes": list(self.changes),
            "moves": [one.document() for one in self.moves],
            "unplaced": [one.document() for one in self.unplaced],
            "out_of_policy": [one.document() for one in self.out_of_policy],
            "under_way": [str(key) for key in self.under_way],
            "cost_before_usd_per_hour": self.before_usd_per_hour,
            "cost_after_usd_per_hour": self.after_usd_per_hour,
            "difference_usd_per_hour": self.difference_usd_per_hour,
            "cost_if_all_moved_usd_per_hour": self.free_usd_per_hour,
            "bound_usd_per_hour": self.bound_usd_per_hour,
            "gap": self.gap,
            "settled": self.ended,
        }


@dataclass(frozen=True)
class ScenarioReport:
    """All of a scenario. `start`: what the controller would do in any case, before the first step."""

    name: str
    start: StepReport
    steps: tuple[StepReport, ...]

    @property
    def exit_code(self) -> int:
        """The gravest of any step: denial before lack of room."""
        return max(one.exit_code for one in (self.start, *self.steps))

    @property
    def end(self) -> StepReport:
        """The last step, or the start where there is none."""
        return self.steps[-1] if self.steps else self.start

    def totals(self) -> dict[str, Any]:
        """Sums over all steps, and the end against the start."""
        moves = [one for step in self.steps for one in step.moves]
        before, after = self.start.after_usd_per_hour, self.end.after_usd_per_hour
        return {
            "moves": len(moves),
            "services_moved": len({one.key for one in moves}),
            "replicas_moved": sum(moved_replicas(one) for one in moves),
            "cost_before_usd_per_hour": before,
            "cost_after_usd_per_hour": after,
            "difference_usd_per_hour": round(after - before, 9),
            "unplaced": [str(one.key) for one in self.end.unplaced],
            "out_of_policy": [str(one.key) for one in self.end.out_of_policy],
        }

    def document(self) -> dict[str, Any]:
        """As JSON-like data, snake_case; stable names that programs may rely on."""
        return {
            "scenario": self.name,
            "start": self.start.document(),
            "steps": [step.document() for step in self.steps],
            "totals": self.totals(),
        }


def report_start(given: State, settled: Settled) -> StepReport:
    """What the controller would do with a state in any case; services that ran nowhere yet are no moves."""
    found = report("start", (), settled, settled)
    moves = tuple(one for one in moves_between(given, settled) if one.type != "new")
    return replace(found, moves=moves)


def report(name: str, changes: Sequence[str], before: Settled, after: Settled) -> StepReport:
    """What became of `before` by `changes`, given in words."""
    plan = after.judgement.plan
    unplaced, out = troubles(after)
    going = {Key(each.metadata.namespace, each.spec.service) for each in after.state.migrations}
    return StepReport(
        name=name,
        changes=tuple(changes),
        moves=moves_between(before.state, after),
        unplaced=unplaced,
        out_of_policy=out,
        under_way=tuple(sorted(going & after.state.services.keys())),
        before_usd_per_hour=before.total_usd_per_hour,
        after_usd_per_hour=after.total_usd_per_hour,
        free_usd_per_hour=after.wish.plan.running_usd_per_hour,
        bound_usd_per_hour=plan.bound_usd_per_hour,
        gap=plan.gap,
        ended=after.ended,
    )


def moves_between(before: State, after: Settled) -> tuple[Moved, ...]:
    """Which services are elsewhere, or have other replicas, than before."""
    found = []
    for key in sorted(after.state.services):
        was, now = running(before, key), running(after.state, key)
        if counts_of(was) == counts_of(now):
            continue
        causes = after.causes.get(key, ())
        why = "; ".join(dict.fromkeys(cause.why for cause in causes if cause.why))
        what = what_changes(was, now)
        found.append(
            Moved(key, "stopped" if what == "gone" else what, was, now, causes[0].reason if causes else "", why)
        )
    return tuple(found)


def moved_replicas(one: Moved) -> int:
    """How many replicas start somewhere that they did not run before."""
    was = counts_of(one.before)
    return sum(max(count - was.get(name, 0), 0) for name, count in counts_of(one.after).items())


def running(state: State, key: Key) -> tuple[Target, ...]:
    """Where the service is committed to run, lost places included."""
    placement = state.placements.get(key)
    return tuple(target for target in placement.spec.targets if target.replicas) if placement is not None else ()


def troubles(settled: Settled) -> tuple[tuple[Trouble, ...], tuple[Trouble, ...]]:
    """Who lacks a place, and who runs where it may not."""
    unplaced, out = [], []
    for planned in settled.judged.plan.placements:
        key = Key(planned.namespace, planned.service)
        runs = tuple(t for t in running(settled.state, key) if not settled.state.is_lost(t.subcluster))
        broken = _broken(settled, key, runs)
        if broken:
            lacks = _lack(settled, planned, broken)
            why = tuple(f"{name}: {message}" for name, message in broken.items())
            out.append(Trouble(key, runs, lacks, (*why, *_kept(settled, key, planned))))
        elif planned.verdict != "placed":
            unplaced.append(Trouble(key, runs, planned.verdict, tuple(planned.reasons)))
        elif not runs and settled.state.services[key].spec.replicas:
            unplaced.append(Trouble(key, (), "full", _gone(settled, key) or _kept(settled, key, planned)))
    return tuple(unplaced), tuple(out)


def _gone(settled: Settled, key: Key) -> tuple[str, ...]:
    """What is said of one that is bound to a place that is lost."""
    service = settled.state.services[key]
    lost = [target.subcluster for target in running(settled.state, key) if settled.state.is_lost(target.subcluster)]
    if not service.spec.bound or not lost:
        return ()
    what = "holds the only copy of its data; a person has to decide" if service.spec.stateful else "ran its work"
    return (f"{', '.join(lost)} is lost and {what}",)


def _kept(settled: Settled, key: Key, planned: PlannedService) -> tuple[str, ...]:
    kept = settled.kept.get(key, "")
    return (kept,) if kept else tuple(planned.reasons)


def _broken(settled: Settled, key: Key, runs: tuple[Target, ...]) -> dict[str, str]:
    """The sub-clusters that a service has to leave, although nothing more moves, and why."""
    placement = settled.state.placements.get(key)
    here = {target.subcluster for target in runs}
    entries = placement.status.overtaken if placement is not None else ()
    return {entry.subcluster: entry.message for entry in entries if entry.subcluster in here}


def _lack(settled: Settled, planned: PlannedService, left: Collection[str]) -> Literal["denied", "full"]:
    """What is against every place but those it has to leave."""
    if planned.verdict == "placed":
        return "full"
    key = Key(planned.namespace, planned.service)
    others = {one.verdict for one in settled.judged.candidates(key).candidates if one.subcluster not in left}
    return "full" if others - {"denied"} else "denied"

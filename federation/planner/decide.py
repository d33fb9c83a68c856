"""`decide`: the plan for a request, and `Judgement`: that plan with the questions an engine asks of it later."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from math import fsum

from federation.contracts.policy import Reason
from federation.model.meta import Key
from federation.model.placement import Target
from federation.model.plan import MOVING, MoveCost, Plan, PlannedCall, PlannedService, Saving, Violation
from federation.planner.explain import Explainer, say, state_of
from federation.planner.feasibility import UNFIT, draining, feasibility_reasons
from federation.planner.ledger import DIGITS, Ledger
from federation.planner.obstacles import PASSING, held_obstacles, obstacles, policy_reasons, rule_reasons
from federation.planner.request import PlanRequest
from federation.planner.solve import Solution, solve
from federation.planner.taints import delay_s, leaving_reasons
from federation.planner.ties import is_broken, tie_reasons


def decide(request: PlanRequest, *, certify: bool = True) -> Plan:
    """Where everything would run, what it costs and why. Pure and deterministic; the order of the input is no matter.

    `certify`: whether to spend some time on a bound that is close to the cost, where a quick one is not.
    As many services as possible are placed, those that run before those that do not, at the least total cost found;
    terms add up to costs, and costs to the total. Guarantees: no rule, capacity or limit is broken, except by services
    of `request.fixed`, which stay as they are; what runs and may stay keeps its replicas, whoever else wants room."""
    return _told(request, solve(request.problem, certify=certify))


def _told(request: PlanRequest, solution: Solution) -> Plan:
    explainer = Explainer(request, solution.state)
    placements = tuple(_planned(explainer, service) for service in range(len(request.view.services)))
    total = round(fsum(each.cost_usd_per_hour for each in placements), DIGITS)
    bound = min(round(solution.bound_usd_per_hour, DIGITS), total)
    return Plan(
        placements=placements,
        calls=_calls(explainer),
        total_usd_per_hour=total,
        bound_usd_per_hour=bound,
        gap=round((total - bound) / bound, 6) if bound > 0 else (0.0 if total == bound else None),
    )


def _planned(explainer: Explainer, service: int) -> PlannedService:
    request, state = explainer.request, explainer.state
    key = request.view.services[service].key
    terms = explainer.ledger.terms_now(service)
    return PlannedService(
        namespace=key.namespace,
        service=key.name,
        verdict=explainer.verdict(service),
        targets=request.fixed.get(key) or _targets(request, state.counts[service].tolist(), service),
        cost_usd_per_hour=round(fsum(terms.values()), DIGITS),
        terms=terms,
        reasons=explainer.reasons(service),
    )


def _targets(request: PlanRequest, counts: list[int], service: int) -> tuple[Target, ...]:
    """The row of counts as targets; a service of no replicas keeps its place with none."""
    none = request.problem.replicas[service] == 0
    return tuple(
        Target(subcluster=there.metadata.name, replicas=0 if none else count)
        for there, count in zip(request.view.subclusters, counts, strict=True)
        if count
    )


def _calls(explainer: Explainer) -> tuple[PlannedCall, ...]:
    view = explainer.request.view
    names = view.keys()
    keys = [str(key) for key in names]
    return tuple(
        PlannedCall(
            caller=keys[edge.caller],
            callee=keys[edge.callee],
            gib_per_hour=edge.gib_per_hour,
            declared=not edge.assumed,
            cost_usd_per_hour=cost,
        )
        for edge, cost in zip(view.edges, explainer.ledger.calls.tolist(), strict=True)
    )


class Standing:
    """A plan that was made before: what each service of it costs and why, without searching for a better one."""

    def __init__(self, request: PlanRequest, targets: Mapping[Key, tuple[Target, ...]]):
        """Args: targets, where the plan has each service; one that is left out stands nowhere."""
        self.request = request
        placements = tuple(
            PlannedService(namespace=key.namespace, service=key.name, verdict="placed", targets=there)
            for key, there in sorted(targets.items())
            if key in request.service_index
        )
        self._explainer = Explainer(request, state_of(request, Plan(placements=placements)))

    def candidates(self, key: Key) -> PlannedService:
        """One service of the plan with all its candidates. Raises KeyError for one that the request does not know."""
        index = self.request.service_index[key]
        return _planned(self._explainer, index).model_copy(update={"candidates": self._explainer.candidates(index)})


def _alike(one: PlanRequest, other: PlanRequest) -> bool:
    """Whether both are of the same services and sub-clusters."""
    return one.service_index.keys() == other.service_index.keys() and list(one.subcluster_index) == list(
        other.subcluster_index
    )


class Judgement:
    """A plan with the rules it was made under: what may run where, now and while it is carried out."""

    def __init__(
        self,
        request: PlanRequest,
        plan: Plan | None = None,
        *,
        certify: bool = True,
        after: Judgement | None = None,
    ):
        """`after`: an earlier judgement; where it was of the same services and sub-clusters, and little is new since,
        only that is looked at."""
        self.request = request
        self._solution: Solution | None = None
        if plan is None:
            before = after._solution if after is not None and _alike(after.request, request) else None
            self._solution = solve(request.problem, certify=certify, after=before)
            plan = _told(request, self._solution)
        self.plan = plan

    @property
    def separable(self) -> bool:
        """Whether what it says of its services would hold in any fleet that leaves them the same room and calls: no
        rule counts or names other services than those that a call joins."""
        return not any(opinion.ceilings or opinion.ties or opinion.notices for opinion in self.request.opinions)

    @cached_property
    def _explainer(self) -> Explainer:
        return Explainer(self.request, state_of(self.request, self.plan))

    def forbidden(self, key: Key, subcluster: str) -> str:
        """Why a hard rule in force forbids the service there, copies that run included; "" when none does. A drain is
        no rule: what crashes there before it is moved may be started again.

        A service or sub-cluster that the plan does not know is forbidden nothing."""
        found = self._find(key, subcluster)
        if found is None:
            return ""
        reasons = policy_reasons(self.request, *found)
        if not reasons:
            reasons = tuple(
                reason
                for reason in feasibility_reasons(self.request.view, self.request.images, *found)
                if reason.code in (*UNFIT, "Evicted")
            )
        return "; ".join(say(reason) for reason in reasons)

    def violation(self, key: Key, subcluster: str) -> Violation | None:
        """Why a copy that runs there may not stay; None when it may. A broken `with` or `apart` is told of the one that
        the plan has leave. Of several causes a rule comes before a taint and
        a taint before a drain; of several times the earliest counts.

        A taint that is tolerated for so many seconds is told at once, with those seconds as the delay: until they are
        over, counted from `Placement.status.overtaken[].since`, the plan leaves the copy where it is."""
        found = self._find(key, subcluster)
        if found is None:
            return None
        view, images = self.request.view, self.request.images
        rules = policy_reasons(self.request, *found)
        if not rules:
            every = feasibility_reasons(view, images, *found)
            rules = tuple(reason for reason in every if reason.code in UNFIT)
        if found[0] in self.request.ties_of and not self._explainer.state.counts[found]:
            rules += self._parts(found[0])
        taints = leaving_reasons(view, *found)
        drain = draining(view.subclusters[found[1]])
        reasons = [*rules, *taints, *([drain] if drain is not None else [])]
        if not reasons:
            return None
        delay = 0.0 if rules or drain is not None else delay_s(view.subclusters[found[1]], view.tolerations[found[0]])
        return Violation(
            cause="Policy" if rules else ("Taint" if taints else "Drain"),
            message="; ".join(say(reason) for reason in reasons),
            delay_s=delay,
            grace_s=min((reason.grace_s for reason in rules if reason.grace_s is not None), default=None),
            stop=any(reason.stop for reason in rules),
        )

    def denials(self, key: Key, subcluster: str) -> tuple[Reason, ...]:
        """Why a copy of the service may not be started there whatever the others do: rules, taints, what it needs, an
        unknown price. Loss, a cordon and a drain are none, nor is room. Empty for what the plan does not know."""
        found = self._find(key, subcluster)
        reasons = () if found is None else rule_reasons(self.request, *found)
        return tuple(reason for reason in reasons if reason.code not in PASSING)

    def rank(self, key: Key, subcluster: str) -> int:
        """The place in the service's order of preference, 0 the most preferred; 0 for what the plan does not know."""
        found, ranks = self._find(key, subcluster), self.request.ranks
        return 0 if found is None or ranks is None else int(ranks[found])

    def objection(self, key: Key, subcluster: str) -> str:
        """Why the service could not be started there now, all others as planned: rule, health, price or room; "" when
        it could, and where it stands in the plan."""
        found = self._find(key, subcluster)
        if found is None:
            return f"the plan knows no {key} or no sub-cluster {subcluster}"
        service, column = found
        state = self._explainer.state
        if state.counts[service, column]:
            return ""
        fixed = bool(self.request.problem.fixed[service])
        out = held_obstacles(self.request, state, *found) if fixed else obstacles(self.request, state, *found)
        return "" if out is None else "; ".join(say(reason) for reason in out.reasons)

    def stands(self, key: Key) -> bool:
        """Whether a service that runs may stay as it is committed: no rule, loss or lack of a price is against it."""
        service = self.request.service_index.get(key)
        if service is None:
            return False
        problem = self.request.problem
        counts = problem.current[service]
        rules = problem.spread.get(service, ())
        return bool(
            counts.any()
            and problem.allowed[service][counts > 0].all()
            and all(rule.holds(counts[None])[0] for rule in rules)
            and not self._parts(service)
        )

    def _parts(self, service: int) -> tuple[Reason, ...]:
        """Why a service has to leave a partner, or to join it: it may go and the partner stays, or both go. Of two that
        could go, the one that the plan leaves where it is stays; what keeps data stays in any case.

        Nobody follows a partner that is on the move, nor makes way for it: it is about to be elsewhere, and two that
        set out for each other's place would do so for ever. What is still broken when it has arrived counts."""
        ties = self.request.ties_of.get(service, ())
        view, current = self.request.view, self.request.problem.current
        if not ties or view.services[service].spec.stateful or not current[service].any():
            return ()
        counts = self._explainer.state.counts
        found: list[Reason] = []
        for tie in ties:
            if not is_broken(tie, current):
                continue
            other = tie.second if tie.first == service else tie.first
            if view.services[other].key in self.request.moving:
                continue
            stays = not ((current[service] > 0) & (counts[service] == 0)).any()
            if not stays or view.services[other].spec.stateful:
                found += tie_reasons(view, (tie,), current, service)
        return tuple(found)

    def saving(self, key: Key) -> Saving | None:
        """What the planned place of a service that runs in one place saves, all others as planned, what the present one
        costs, and what the move costs once, which is no part of the saving; None where that can't be told."""
        index = self.request.service_index[key]
        current = [target.subcluster for target in self.request.view.current[index] if target.replicas]
        costs = {each.subcluster: each.cost_usd_per_hour for each in self.candidates(key).candidates}
        now = costs.get(current[0]) if len(current) == 1 else None
        if now is None:
            return None
        move = self.move(key)
        saved = now - self.plan.placements[index].running_usd_per_hour
        return Saving(saved, now, 0.0 if move is None else move.once_usd)

    def move(self, key: Key) -> MoveCost | None:
        """What it costs once to bring the service from where it runs to where the plan has it; None for one that does
        not move. It saves something only where it may stay, and all of it runs. Raises KeyError for one that the plan
        does not know."""
        index = self.request.service_index[key]
        ledger, problem = self._explainer.ledger, self.request.problem
        row, here = self._explainer.state.counts[index], problem.current[index]
        saving = None
        if self.stands(key) and here.sum() == row.sum() and not problem.fixed[index]:
            terms = ledger.terms_now(index)
            then = fsum(terms.values()) - terms.get(MOVING, 0.0)
            saving = fsum(ledger.terms_at(index, here).values()) - then
        return self.request.moves.cost(index, row, saving)

    def migration(self, key: Key, source: str, target: str, replicas: int) -> MoveCost | None:
        """What it would cost once to bring so many replicas from where they run to another sub-cluster; None where
        nothing of it runs, or it runs there already. Raises KeyError for what the plan does not know."""
        index, columns = self.request.service_index[key], self.request.subcluster_index
        row = self.request.problem.current[index].copy()
        row[columns[source]] = max(int(row[columns[source]]) - replicas, 0)
        row[columns[target]] += replicas
        return self.request.moves.cost(index, row)

    def present_usd_per_hour(self) -> float | None:
        """What all that runs costs where it is committed to run now; None where nothing runs. Unknown prices count as
        nothing."""
        request = self.request
        if not request.problem.current.any():
            return None
        now = {key: targets for key, targets in zip(request.view.keys(), request.view.current, strict=True) if targets}
        placements = tuple(
            PlannedService(namespace=key.namespace, service=key.name, verdict="placed", targets=targets)
            for key, targets in now.items()
        )
        ledger = Ledger(request, state_of(request, Plan(placements=placements)))
        return round(fsum(ledger.now.ravel().tolist()), DIGITS)

    def candidates(self, key: Key) -> PlannedService:
        """One service of the plan with all its candidates. Raises KeyError for one that the plan does not know."""
        index = self.request.service_index[key]
        return self.plan.placements[index].model_copy(update={"candidates": self._explainer.candidates(index)})

    def _find(self, key: Key, subcluster: str) -> tuple[int, int] | None:
        service = self.request.service_index.get(key)
        column = self.request.subcluster_index.get(subcluster)
        return None if service is None or column is None else (service, column)

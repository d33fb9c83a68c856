"""Each kind of expectation against a case's outcome; what fails says which rule of which policy decided."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from federation.intake.checking import Path
from federation.model.meta import Key
from federation.model.nearest import suggestion
from federation.model.placement import Target
from federation.planner.explain import say
from federation.planner.wording import decimals, money
from federation.whatif.changes import key_of, policies_named, unknown_service
from federation.whatif.documents import Expectation
from federation.whatif.outcome import Outcome, few
from federation.whatif.report import Moved, Trouble

Found = tuple[str, str, Sequence[str]] | None
"""What was expected, what was found, and reasons; None when the expectation holds."""


def _runs_in(outcome: Outcome, expectation: Expectation, key: Key | None, path: Path) -> Found:
    if key is None or expectation.runs_in is None:
        return None
    allowed = outcome.matching(expectation.runs_in, path)
    runs = outcome.runs(key)
    if runs and all(target.subcluster in allowed for target in runs):
        return None
    reasons = [*outcome.why_there(key), *outcome.candidates(key, allowed)] if runs else outcome.candidates(key)
    return f"runs in {_list(allowed)} only", _running(runs), reasons


def _never(outcome: Outcome, expectation: Expectation, key: Key | None, path: Path) -> Found:
    if key is None or expectation.never is None:
        return None
    forbidden = outcome.matching(expectation.never, path)
    wrong = [target for target in outcome.runs(key) if target.subcluster in forbidden]
    if not wrong:
        return None
    open_ = [target.subcluster for target in wrong if not outcome.after.judged.denials(key, target.subcluster)]
    said = [f"no rule forbids it in {_list(open_)}"] if open_ else []
    out = [reason for one in outcome.report.out_of_policy if one.key == key for reason in one.why]
    return f"never runs in {_list(forbidden)}", _running(wrong), [*said, *out, *outcome.why_there(key)]


def _may_run_in(outcome: Outcome, expectation: Expectation, key: Key | None, path: Path) -> Found:
    reasons, wrong = [], []
    for index, name in enumerate(expectation.may_run_in or ()):
        outcome.check_subcluster(name, (*path, index))
        denials = () if key is None else outcome.after.judged.denials(key, name)
        if denials:
            wrong.append(name)
            reasons += [f"{name}: {say(reason)}" for reason in denials]
    return (
        (f"may run in {_list(expectation.may_run_in or ())}", f"denied in {_list(wrong)}", reasons) if wrong else None
    )


def _must_not_run_in(outcome: Outcome, expectation: Expectation, key: Key | None, path: Path) -> Found:
    wrong = []
    for index, name in enumerate(expectation.must_not_run_in or ()):
        outcome.check_subcluster(name, (*path, index))
        if key is not None and not outcome.after.judged.denials(key, name):
            wrong.append(name)
    if not wrong:
        return None
    applying = _applying(outcome, key) if key is not None else []
    said = f"the policies that select it: {', '.join(applying)}" if applying else "no policy selects it"
    return f"must not run in {_list(expectation.must_not_run_in or ())}", f"permitted in {_list(wrong)}", [said]


def _applying(outcome: Outcome, key: Key) -> list[str]:
    labels = outcome.after.state.services[key].metadata.labels
    return sorted(
        f"{kind} {name}"
        for (kind, name), policy in outcome.after.state.policies.items()
        if name.namespace in ("", key.namespace) and policy.spec.selector.matches(labels)
    )


def _placed(outcome: Outcome, expectation: Expectation, key: Key | None, _path: Path) -> Found:
    if key is None or (outcome.verdict(key) == "placed") == expectation.placed:
        return None
    return _verdict_found(outcome, key, "has a place" if expectation.placed else "has no place")


def _verdict(outcome: Outcome, expectation: Expectation, key: Key | None, _path: Path) -> Found:
    if key is None or outcome.verdict(key) == expectation.verdict:
        return None
    return _verdict_found(outcome, key, f"is {expectation.verdict}")


def _verdict_found(outcome: Outcome, key: Key, expected: str) -> Found:
    trouble = outcome.trouble(key)
    if trouble is None:
        return expected, f"placed: {_running(outcome.runs(key))}", outcome.why_there(key)
    return expected, f"{trouble.lacks}: {'; '.join(trouble.why)}", outcome.candidates(key)


def _denied_by(outcome: Outcome, expectation: Expectation, key: Key | None, path: Path) -> Found:
    wanted = expectation.denied_by
    if key is None or wanted is None:
        return None
    outcome.check_subcluster(wanted.subcluster, (*path, "subcluster"))
    policies = outcome.after.state.policies
    names = {f"{kind} {name}" for kind, name in policies_named(policies, wanted.policy, outcome.test.namespace)}
    if not names:
        hint = suggestion(wanted.policy, (str(name) for _, name in policies))
        raise outcome.error(f"there is no policy {wanted.policy}; {hint}", (*path, "policy"))
    denials = outcome.after.judged.denials(key, wanted.subcluster)
    if any(reason.origin in names for reason in denials):
        return None
    expected = f"denied in {wanted.subcluster} by {_list(sorted(names))}"
    if not denials:
        applying = _applying(outcome, key)
        said = f"the policies that select it: {', '.join(applying)}" if applying else "no policy selects it"
        return expected, f"permitted in {wanted.subcluster}", [said]
    return expected, "denied by others", [f"{wanted.subcluster}: {say(reason)}" for reason in denials]


def _max_hourly(outcome: Outcome, expectation: Expectation, key: Key | None, _path: Path) -> Found:
    most = expectation.max_hourly or 0.0
    plan = outcome.after.judgement.plan
    cost = plan.total_usd_per_hour if key is None else outcome.planned(key).cost_usd_per_hour
    if cost <= most + 1e-9:
        return None
    places = max(decimals(cost, most), decimals(cost - most))
    if key is None:
        dearest = sorted(plan.placements, key=lambda one: (-one.cost_usd_per_hour, one.namespace, one.service))
        reasons = [f"{one.namespace}/{one.service}: {money(one.cost_usd_per_hour, places)}" for one in dearest[:3]]
    else:
        reasons = outcome.why_there(key)
    return f"at most {money(most, places)} USD per hour", f"{money(cost, places)} USD per hour", reasons


def _moves(outcome: Outcome, expectation: Expectation, _key: Key | None, _path: Path) -> Found:
    moves = outcome.report.moves
    if expectation.moves is not None and len(moves) != expectation.moves:
        return _number(expectation.moves), _number(len(moves)), few([_moved(one) for one in moves])
    return None


def _moves_at_most(outcome: Outcome, expectation: Expectation, _key: Key | None, _path: Path) -> Found:
    moves = outcome.report.moves
    if expectation.moves_at_most is not None and len(moves) > expectation.moves_at_most:
        found = few([_moved(one) for one in moves])
        return f"at most {_number(expectation.moves_at_most)}", _number(len(moves)), found
    return None


def _number(moves: int) -> str:
    return f"{moves} {'move' if moves == 1 else 'moves'}"


def _moved(one: Moved) -> str:
    return f"{one.key}: {_where(one.before)} -> {_where(one.after)}: {one.why or one.reason}"


def _unplaced(outcome: Outcome, expectation: Expectation, _key: Key | None, path: Path) -> Found:
    return _lists(outcome, expectation.unplaced or (), outcome.report.unplaced, "without a place", path)


def _out_of_policy(outcome: Outcome, expectation: Expectation, _key: Key | None, path: Path) -> Found:
    return _lists(outcome, expectation.out_of_policy or (), outcome.report.out_of_policy, "out of policy", path)


def _lists(outcome: Outcome, names: tuple[str, ...], troubles: tuple[Trouble, ...], what: str, path: Path) -> Found:
    wanted = []
    for index, name in enumerate(names):
        key = key_of(name, outcome.test.namespace)
        if key not in outcome.after.state.services:
            raise outcome.error(unknown_service(key, outcome.after.state.services), (*path, index))
        wanted.append(key)
    found = {one.key: one for one in troubles}
    if found.keys() == set(wanted):
        return None
    reasons = [f"{key}: {'; '.join(one.why)}" for key, one in found.items() if key not in wanted]
    reasons += [f"{key} runs in {_where(outcome.runs(key))}" for key in sorted(set(wanted) - found.keys())]
    expected, instead = (", ".join(map(str, sorted(keys))) or "nobody" for keys in (wanted, found))
    return f"{what}: {expected}", f"{what}: {instead}", few(reasons)


CHECKS: dict[str, Callable[[Outcome, Expectation, Key | None, Path], Found]] = {
    "runs_in": _runs_in,
    "never": _never,
    "may_run_in": _may_run_in,
    "must_not_run_in": _must_not_run_in,
    "placed": _placed,
    "verdict": _verdict,
    "denied_by": _denied_by,
    "max_hourly": _max_hourly,
    "moves": _moves,
    "moves_at_most": _moves_at_most,
    "unplaced": _unplaced,
    "out_of_policy": _out_of_policy,
}
"""By an expectation's field. Args: the service, if it is about one; the field's path, for names that are not there."""


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "nowhere"


def _where(targets: Iterable[Target]) -> str:
    return ", ".join(f"{target.subcluster} {target.replicas}" for target in targets) or "nowhere"


def _running(targets: Iterable[Target]) -> str:
    return f"runs in {_where(targets)}".replace("in nowhere", "nowhere")

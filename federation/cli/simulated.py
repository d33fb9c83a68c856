"""A scenario's outcome as people read it: tables and Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from federation.cli.output import coloured, printable
from federation.cli.plantable import escaped, markdown_table, money
from federation.cli.table import print_table
from federation.model.placement import Target
from federation.whatif.report import Moved, ScenarioReport, StepReport, Trouble

_TITLES = ("SERVICE", "FROM", "TO", "REASON", "WHY")


def print_report(found: ScenarioReport) -> None:
    """Each step with its moves, costs and what has no place; then all of it together."""
    print(coloured(f"Scenario {found.name}", "bold"))
    for line in _start(found.start):
        print(printable(line))
    for number, step in enumerate(found.steps, 1):
        print()
        print(coloured(printable(f"{number}. {_title(step)}"), "bold"))
        if step.moves:
            print_table(_TITLES, [_row(one) for one in step.moves], wrap=True)
        for line in _lines(step):
            print(printable(line))
    print()
    for line in _totals(found):
        print(printable(line))


def print_markdown(found: ScenarioReport) -> None:
    """The same for a merge request."""
    print(f"# Scenario {escaped(found.name)}\n")
    for line in _start(found.start):
        print(f"- {escaped(line)}")
    for number, step in enumerate(found.steps, 1):
        print(f"\n## {number}. {escaped(_title(step))}\n")
        if step.moves:
            markdown_table([title.capitalize() for title in _TITLES], [_row(one) for one in step.moves])
            print()
        for line in _lines(step):
            print(f"- {escaped(line)}")
    print("\n## In all\n")
    for line in _totals(found):
        print(f"- {escaped(line)}")


def _title(step: StepReport) -> str:
    said = ", ".join(step.changes) or "nothing changes"
    return said if step.name.startswith("step ") else f"{step.name}: {said}"


def _row(one: Moved) -> list[str]:
    return [str(one.key), _where(one.before), _where(one.after), one.reason, one.why]


def _where(targets: Sequence[Target]) -> str:
    return ", ".join(f"{target.subcluster} {target.replicas}" for target in targets) or "nowhere"


def _start(step: StepReport) -> Iterable[str]:
    yield f"It starts at {money(step.after_usd_per_hour)} USD per hour; {_certificate(step)}."
    for one in step.moves:
        way = f"from {_where(one.before)} to {_where(one.after)}"
        yield f"{one.key} would go {way} in any case: {one.why or one.reason}"
    yield from _troubles(step)


def _lines(step: StepReport) -> Iterable[str]:
    if not step.moves:
        yield "Nothing moves."
    yield from _troubles(step)
    cost = f"{money(step.before_usd_per_hour)} -> {money(step.after_usd_per_hour)} USD per hour"
    free = ""
    if step.after_usd_per_hour - step.free_usd_per_hour >= 0.00005 and not (step.unplaced or step.out_of_policy):
        free = f"; {money(step.free_usd_per_hour)} if everything were moved at will"
    yield f"{cost} ({_difference(step.difference_usd_per_hour)}); {_certificate(step)}{free}."


def _troubles(step: StepReport) -> Iterable[str]:
    for one in step.unplaced:
        lack = "denied by policy everywhere" if one.lacks == "denied" else "no room"
        runs = f", {_where(one.runs)} left" if one.runs else ""
        yield f"{one.key}: {lack}{runs}: {_sentences(one)}"
    for one in step.out_of_policy:
        lack = "is denied everywhere else" if one.lacks == "denied" else "can't"
        yield f"{one.key}: has to leave and {lack}, runs in {_where(one.runs)}: {_sentences(one)}"
    if step.under_way:
        yield f"On the move already, and held: {', '.join(map(str, step.under_way))}."
    if not step.ended:
        yield "No end was found to it: services keep moving."


def _sentences(one: Trouble) -> str:
    return "; ".join(reason.rstrip(".") for reason in one.why) or "no reason is known"


def _certificate(step: StepReport) -> str:
    if step.gap is None:
        return "no bound is known"
    if step.gap < 0.00005:
        return "proven to be the cheapest possible with what is held"
    return f"at most {step.gap:.2%} above the cheapest possible with what is held"


def _difference(usd: float) -> str:
    return f"{'-' if usd < 0 else '+'}{money(abs(usd))}"


def _totals(found: ScenarioReport) -> Iterable[str]:
    totals = found.totals()
    moves, services, replicas = totals["moves"], totals["services_moved"], totals["replicas_moved"]
    yield (
        f"In all {_count(moves, 'move')} of {_count(services, 'service')}, {_count(replicas, 'replica')} started anew; "
        f"{money(totals['cost_before_usd_per_hour'])} -> {money(totals['cost_after_usd_per_hour'])} USD per hour "
        f"({_difference(totals['difference_usd_per_hour'])})."
    )
    if totals["unplaced"]:
        yield f"Without a place at the end: {', '.join(totals['unplaced'])}."
    if totals["out_of_policy"]:
        yield f"Out of policy at the end, with nowhere to go: {', '.join(totals['out_of_policy'])}."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"

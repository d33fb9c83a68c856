"""A plan, and one service's candidates, as people read them: tables and Markdown."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from math import fsum
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from federation.cli.movestable import TITLES, move_rows, unknown
from federation.cli.output import in_colour, printable
from federation.planner.wording import parts

if TYPE_CHECKING:
    from federation.cli.changes import Change, PlanShown
    from federation.model.placement import Target
    from federation.model.plan import Candidate, PlannedService

_WIDE_ENOUGH_FOR_TERMS = 96
_WIDE_ENOUGH_FOR_REASONS = 64
_WIDEST = 120
_PIPED = 110
_STYLES = {"placed": "", "denied": "red", "full": "yellow", "chosen": "green", "feasible": ""}


def print_plan(plan: PlanShown) -> None:
    """Services with place, cost and reason; then sums, what has no place, and what would change."""
    console = _console()
    table = _table(("SERVICE", {}), ("WHERE", {"min_width": 14}), ("USD/H", _RIGHT))
    terms = console.width >= _WIDE_ENOUGH_FOR_TERMS
    reasons = console.width >= _WIDE_ENOUGH_FOR_REASONS
    if terms:
        table.add_column("TERMS", ratio=2)
    if reasons:
        table.add_column("WHY", ratio=5)
    titles = _titles(plan)
    for service, title in zip(plan.plan.placements, titles, strict=True):
        cells = [title, _where(service), _cost(service)]
        cells += [_terms(service.terms)] if terms else []
        cells += [_why(service)] if reasons else []
        table.add_row(*(_text(cell) for cell in cells), style=_STYLES[service.verdict])
    if len(plan.plan.placements) > 1:
        cells = ["TOTAL", "", money(plan.plan.total_usd_per_hour)]
        cells += [_terms(plan.plan.terms())] if terms else []
        table.add_row(*cells, *([""] if reasons else []))
    moves: list[Table | Text | str] = [_moves(plan), ""] if plan.moves() else []
    _show(console, table, "", _sums(plan), "", *moves, *(_text(line) for line in _summary(plan)))


def print_markdown(plan: PlanShown) -> None:
    """The same for a merge request."""
    rows = [
        [title, _where(service), _cost(service), _terms(service.terms), _why(service)]
        for service, title in zip(plan.plan.placements, _titles(plan), strict=True)
    ]
    whole = ["Total", "", money(plan.plan.total_usd_per_hour), _terms(plan.plan.terms()), ""]
    markdown_table(("Service", "Where", "USD/h", "Terms", "Why"), [*rows, whole] if len(rows) > 1 else rows)
    print()
    markdown_table(
        ("Sub-cluster", "Services", "Replicas", "USD/h"),
        [
            [one.subcluster, str(one.services), str(one.replicas), money(one.cost_usd_per_hour)]
            for one in plan.by_subcluster()
        ],
    )
    print()
    if plan.moves():
        markdown_table(
            [title.capitalize().replace("Usd", "USD").replace("usd/h", "USD/h") for title in TITLES],
            move_rows(plan.moves()),
        )
        print()
    for line in _summary(plan):
        print(f"- {escaped(line)}")


def print_candidates(service: PlannedService, now: Sequence[Target] = ()) -> None:
    """All sub-clusters as a place for one service, the best first. `now`: where it is committed to run at present."""
    console = _console()
    head = f"{service.namespace}/{service.service}: {_where(service).replace(chr(10), ', ')}"
    title = _text(f"{head}, {_cost(service)} USD/h" if service.targets else head)
    if now and _targets(now) != _targets(service.targets):
        title.append(f"; runs in {_targets(now)} now")
    title.stylize("bold")
    table = _table(("SUB-CLUSTER", {}), ("VERDICT", {}), ("USD/H", _RIGHT))
    table.add_column("WHY", ratio=1)
    last: tuple[str, ...] = ()
    for one in ordered(service.candidates):
        cost = "" if one.cost_usd_per_hour is None else money(one.cost_usd_per_hour)
        why = "\n".join(reason.removeprefix(f"{one.subcluster}: ") for reason in one.reasons)
        why, last = ("as above" if one.reasons and one.reasons == last else why), one.reasons
        table.add_row(_text(one.subcluster), one.verdict, cost, _text(why), style=_STYLES[one.verdict])
    _show(console, title, "", table)


def ordered(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Chosen first, then feasible by cost, then full, then denied."""
    rank = {"chosen": 0, "feasible": 1, "full": 2, "denied": 3}
    return sorted(candidates, key=lambda one: (rank[one.verdict], one.cost_usd_per_hour or 0.0, one.subcluster))


def money(usd: float) -> str:
    """An amount with as many digits as tell small ones apart."""
    return f"{usd:,.4f}" if abs(usd) < 100 else f"{usd:,.2f}"


_RIGHT = {"justify": "right", "no_wrap": True}


def _console() -> Console:
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit() and int(columns) > 0:
        width = int(columns)
    elif sys.stdout.isatty():
        width = shutil.get_terminal_size((_PIPED, 24)).columns
    else:
        width = _PIPED
    colour = in_colour(sys.stdout)
    return Console(
        width=max(min(width, _WIDEST), 40), no_color=not colour, force_terminal=colour, highlight=False, markup=False
    )


def _table(*columns: tuple[str, dict[str, object]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for title, options in columns:
        table.add_column(title, **options)  # type: ignore[arg-type]
    return table


def _sums(plan: PlanShown) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("SUB-CLUSTER")
    for title in ("SERVICES", "REPLICAS", "USD/H"):
        table.add_column(title, justify="right")
    for one in plan.by_subcluster():
        table.add_row(_text(one.subcluster), str(one.services), str(one.replicas), money(one.cost_usd_per_hour))
    return table


def _moves(plan: PlanShown) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for title in TITLES:
        table.add_column(title, justify="right" if "USD" in title or title in ("DOWN", "REPAID IN") else "left")
    for row in move_rows(plan.moves()):
        table.add_row(*(_text(cell) for cell in row))
    return table


def _summary(plan: PlanShown) -> list[str]:
    answer = plan.plan
    placed = len(answer.placements) - len(plan.unplaced())
    total = (
        f"{placed} of {len(answer.placements)} services placed, {money(answer.total_usd_per_hour)} USD per hour in all"
    )
    if answer.gap is not None and placed:
        above = f"at most {answer.gap:.2%} above the cheapest possible"
        total += f"; {above if answer.gap >= 0.00005 else 'proven to be the cheapest possible'}"
    assumed = sum(not call.declared for call in answer.calls)
    calls = f"{len(answer.calls)} {'call' if len(answer.calls) == 1 else 'calls'} between them"
    if assumed:
        calls += f", the volume of {assumed} assumed"
    lines = [total + ".", *_present(plan), calls + "."]
    for service in plan.unplaced():
        lack = "denied by policy everywhere" if service.verdict == "denied" else "no room"
        lines.append(f"{service.namespace}/{service.service}: {lack}: {' '.join(service.reasons)}")
    return [*lines, *_changes(plan.changes), *unknown(plan.moves())]


def _present(plan: PlanShown) -> list[str]:
    """What runs now costs, and how the plan's total came to be where moves are part of it."""
    now, then = plan.present_usd_per_hour, plan.plan.running_usd_per_hour
    if now is None:
        return []
    change = round(then - now, 9)
    than = f"{money(abs(change))} {'more' if change > 0 else 'less'}" if change else "as much"
    lines = [f"What runs now costs {money(now)} USD per hour; as planned it will cost {than}."]
    moving = plan.plan.total_usd_per_hour - then
    if moving >= 0.00005:
        lines.append(f"{money(moving)} of the total are the moves: what they cost once, spread over their payback.")
    return lines


def _changes(changes: Sequence[Change]) -> list[str]:
    if not changes:
        return ["Nothing differs from what is committed now."]
    lines = []
    new = sum(change.type == "new" for change in changes)
    if new:
        lines.append(f"{new} {'service runs' if new == 1 else 'services run'} nowhere yet.")
    for change in changes:
        if change.type == "stranded":
            where = _targets(change.before)
            lines.append(f"{change.key}: has nowhere to go from {where}, and stays unless a rule has it stopped.")
        elif change.type != "new":
            lines.append(f"{change.key}: {change.type} from {_targets(change.before)} to {_targets(change.after)}.")
    return lines


def _show(console: Console, *parts: Table | Text | str) -> None:
    """Print the parts, without the blanks that fill up lines."""
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _titles(plan: PlanShown) -> list[str]:
    spaces = {service.namespace for service in plan.plan.placements}
    return [
        service.service if len(spaces) == 1 else f"{service.namespace}/{service.service}"
        for service in plan.plan.placements
    ]


def _where(service: PlannedService) -> str:
    if not service.targets:
        return {"denied": "denied", "full": "no room", "placed": "nowhere"}[service.verdict]
    return "\n".join(f"{target.subcluster} {target.replicas}" for target in service.targets)


def _targets(targets: Sequence[Target]) -> str:
    return ", ".join(f"{target.subcluster} {target.replicas}" for target in targets)


def _cost(service: PlannedService) -> str:
    return money(service.cost_usd_per_hour) if service.targets else ""


def _terms(terms: dict[str, float]) -> str:
    """The terms as they are shown, rounded so that they add up to their sum as it is shown; the largest first."""
    shown = parts(terms, 4 if abs(fsum(terms.values())) < 100 else 2)
    return "\n".join(f"{name} {money(usd)}" for name, usd in sorted(shown, key=lambda term: -term[1]))


def _why(service: PlannedService) -> str:
    """The reasons without what the other columns say: of a choice only how it compares."""
    lines = []
    for reason in service.reasons:
        _, semicolon, comparison = reason.partition("; ")
        lines.append(comparison if service.targets and semicolon and reason is service.reasons[0] else reason)
    if len(lines) > 1 and service.targets and "; " not in service.reasons[0]:
        lines = lines[1:]
    return "\n".join(lines)


def _text(cell: str) -> Text:
    return Text("\n".join(printable(line) for line in cell.split("\n")))


def markdown_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table for a merge request."""
    print("| " + " | ".join(titles) + " |")
    print("|" + "---|" * len(titles))
    for row in rows:
        print("| " + " | ".join(escaped(cell) for cell in row) + " |")


def escaped(cell: str) -> str:
    """A cell's text, its lines kept, without what Markdown would act on."""
    lines = [printable(line).replace("\\", "\\\\").replace("|", "\\|") for line in cell.split("\n")]
    return "<br>".join(lines).replace("<none>", "&lt;none&gt;")

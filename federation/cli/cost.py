"""`roam cost`: what that costs which runs now, and what the planner's proposal would save."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from federation.cli import clock
from federation.cli.output import note, print_json
from federation.cli.parsing import add_all_namespaces, add_connection, add_namespace, add_output, connect
from federation.cli.table import print_table

if TYPE_CHECKING:
    from federation.cli.spending import Proposed, Share, Spending
    from federation.model.meta import Key
    from federation.model.placement import Target

_BY = ("service", "subcluster", "provider", "namespace", "kind")


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "What is committed to run, in USD per hour, term by term; amounts are whole millionths of a dollar, so that\n"
        "rows and columns add up exactly. A call's cost stands with the caller; a service in several places is\n"
        "divided by its replicas. Below stands what the planner would do, and what that would save.\n\n"
        "examples:\n"
        "  roam cost -n shop                by service\n"
        "  roam cost -A --by subcluster     what is spent where\n"
        "  roam cost -A --by kind           compute, transfer, latency, ...\n"
        "  roam cost -A -o json"
    )
    parser.add_argument("--by", choices=_BY, default="service", help="what a row is; kind: of cost (default: service)")
    add_namespace(parser)
    add_all_namespaces(parser)
    add_output(parser, "table", "json")
    add_connection(parser)


def run(args: Any) -> int:
    """Show the costs."""
    from federation.cli.spending import spending
    from federation.cli.world import fetch

    with connect(args) as client:
        resources = fetch(client)
    found = spending(resources, clock.now(), lambda key: args.all_namespaces or key.namespace == args.namespace)
    if found.unpriced:
        note(f"roam: warning: a price of {', '.join(found.unpriced)} is unknown, and counted as nothing")
    if args.output == "json":
        print_json(_document(found, args))
        return 0
    if not found.shares:
        others = {each.metadata.namespace for each in resources if each.kind_name == "Placement"} - {args.namespace}
        hint = f" There is something in {', '.join(sorted(others))}: use -n or -A." if others else ""
        note("Nothing runs." if args.all_namespaces else f"Nothing runs in namespace {args.namespace}.{hint}")
        return 0
    _print_table(found, args)
    _print_proposal(found, args)
    return 0


def _print_table(found: Spending, args: Any) -> None:
    from federation.cli.spending import HOURS_PER_MONTH, MILLION, amount

    groups = _groups(found.shares, args)
    terms = [] if args.by == "kind" else _term_names(found.shares)
    rows = []
    for name, shares in groups.items():
        sums = [sum(share.terms.get(term, 0) for share in shares) for term in terms]
        whole = sum(share.total for share in shares)
        if args.by == "kind":
            whole = sum(share.terms.get(name, 0) for share in shares)
        rows.append([name, *_detail(shares, args), *map(_cell, sums), amount(whole)])
    sums = [sum(share.terms.get(term, 0) for share in found.shares) for term in terms]
    rows.append(["TOTAL", *_detail(found.shares, args, total=True), *map(_cell, sums), amount(found.total)])
    titles = [_title(args), *_detail_titles(args), *(term.upper() for term in terms), "USD/H"]
    words = 1 + len(_detail_titles(args))
    widths = [max(len(row[index]) for row in [titles, *rows]) for index in range(len(titles))]
    aligned = [[cell if index < words else cell.rjust(widths[index]) for index, cell in enumerate(row)] for row in rows]
    heads = [title if index < words else title.rjust(widths[index]) for index, title in enumerate(titles)]
    print_table(heads, aligned, wrap=True)
    month = found.total * HOURS_PER_MONTH / MILLION
    print(f"\n{amount(found.total)} USD per hour in all, about {month:,.2f} a month of {HOURS_PER_MONTH} hours.")


def _cell(millionths: int) -> str:
    from federation.cli.spending import amount

    return amount(millionths) if millionths else "-"


def _print_proposal(found: Spending, args: Any) -> None:
    from federation.cli.spending import amount

    if not found.proposed:
        print("The planner would have nothing elsewhere.")
        return
    saving = found.total - found.proposed_total
    share = f" ({saving / found.total:.1%})" if found.total else ""
    count = len(found.proposed)
    print(
        f"The planner would have {count} {'service' if count == 1 else 'services'} elsewhere: "
        f"{amount(found.proposed_total)} USD per hour, which saves {amount(saving)}{share}:\n"
    )
    rows = [
        [_name(one.key, args), _where(one.before), _where(one.after), amount(one.now), amount(one.then)]
        for one in found.proposed
    ]
    print_table(("SERVICE", "FROM", "TO", "USD/H", "THEN"), rows)


def _groups(shares: Iterable[Share], args: Any) -> dict[str, list[Share]]:
    """The rows by name; for kinds of cost every share is in each, the dearest kind first."""
    found = list(shares)
    if args.by == "kind":
        return dict.fromkeys(_term_names(found), found)
    of: dict[str, Callable[[Share], str]] = {
        "service": lambda share: _name(share.key, args),
        "subcluster": lambda share: share.subcluster,
        "provider": lambda share: share.provider,
        "namespace": lambda share: share.key.namespace,
    }
    groups: dict[str, list[Share]] = {}
    for share in found:
        groups.setdefault(of[args.by](share), []).append(share)
    return dict(sorted(groups.items()))


def _term_names(shares: Iterable[Share]) -> list[str]:
    sums: dict[str, int] = {}
    for share in shares:
        for term, millionths in share.terms.items():
            sums[term] = sums.get(term, 0) + millionths
    return [term for term, whole in sorted(sums.items(), key=lambda one: (-one[1], one[0])) if whole]


def _title(args: Any) -> str:
    return {"subcluster": "SUB-CLUSTER", "kind": "KIND"}.get(args.by, str(args.by).upper())


def _detail_titles(args: Any) -> list[str]:
    return {"service": ["WHERE"], "kind": []}.get(args.by, ["SERVICES", "REPLICAS"])


def _detail(shares: Sequence[Share], args: Any, *, total: bool = False) -> list[str]:
    if args.by == "service":
        return ["" if total else ", ".join(f"{share.subcluster} {share.replicas}" for share in shares)]
    if args.by == "kind":
        return []
    return [str(len({share.key for share in shares})), str(sum(share.replicas for share in shares))]


def _name(key: Key, args: Any) -> str:
    return str(key) if args.all_namespaces else key.name


def _where(targets: Iterable[Target]) -> str:
    return ", ".join(f"{target.subcluster} {target.replicas}" for target in targets if target.replicas)


def _document(found: Spending, args: Any) -> dict[str, Any]:
    """As JSON-like data, snake_case; amounts in USD per hour with six digits, which add up exactly as decimals."""
    groups = _groups(found.shares, args)
    rows = []
    for name, shares in groups.items():
        names = [name] if args.by == "kind" else _term_names(shares)
        terms = {term: sum(share.terms.get(term, 0) for share in shares) for term in names}
        places = sorted({(share.subcluster, share.replicas) for share in shares}) if args.by == "service" else []
        rows.append(
            {
                args.by: name,
                "usd_per_hour": _usd(sum(terms.values())),
                "terms": {term: _usd(whole) for term, whole in terms.items()},
                **({"targets": [{"subcluster": sub, "replicas": count} for sub, count in places]} if places else {}),
            }
        )
    return {
        "by": args.by,
        "rows": rows,
        "total_usd_per_hour": _usd(found.total),
        "proposed": [_proposed(one) for one in found.proposed],
        "proposed_total_usd_per_hour": _usd(found.proposed_total),
        "saving_usd_per_hour": _usd(found.total - found.proposed_total),
        "unpriced_subclusters": list(found.unpriced),
    }


def _proposed(one: Proposed) -> dict[str, Any]:
    return {
        "namespace": one.key.namespace,
        "service": one.key.name,
        "from": [target.model_dump() for target in one.before],
        "to": [target.model_dump() for target in one.after],
        "usd_per_hour": _usd(one.now),
        "proposed_usd_per_hour": _usd(one.then),
    }


def _usd(millionths: int) -> float:
    return millionths / 1_000_000

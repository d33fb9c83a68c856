"""Evaluation over all services and sub-clusters: once for all that are alike in what an expression reads.

Verdicts are numbers, so that whole columns are joined at once: 1 true, 0 failed, -1 false. With them CEL's `&&`, `||`
and `!`, for which a failure counts only where the other side does not decide, are minimum, maximum and minus; of
`? :` a condition that fails decides.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from federation.contracts.policy import FleetView
from policies.rules.expression import Part, Read, Term
from policies.rules.variables import Fact, Known, Values
from policies.rules.wording import failure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Verdicts = NDArray[np.int8]

TRUE, FAILED, FALSE = 1, 0, -1


class Columns:
    """The facts of one view, each read once."""

    def __init__(self, view: FleetView):
        self._view = view
        self._columns: dict[str, list[Known | None]] = {}

    def verdicts(self, term: Term, services: Sequence[int]) -> Verdicts:
        """The expression's verdicts on these services, by sub-cluster: [services or 1, sub-clusters or 1]; an axis is 1
        where it makes no difference."""
        if isinstance(term, Part):
            return self._evaluated(term, services)
        found = [self.verdicts(each, services) for each in term.terms]
        if term.how == "not":
            return np.negative(found[0])
        if term.how == "if":
            condition, first, second = found
            return np.where(condition == FAILED, condition, np.where(condition == TRUE, first, second))
        return np.asarray(reduce(np.minimum if term.how == "all" else np.maximum, found))

    def verdict(self, term: Term, service: int, subcluster: int) -> bool | str:
        """The same for one of each; or why it has none."""
        if isinstance(term, Part):
            values: Values = {}
            for each in term.reads:
                values |= _values((each,), (self._at(each, service, subcluster),))
            result = term.program.evaluate(values)
            return result if isinstance(result, bool) else failure(result)
        found = [self.verdict(each, service, subcluster) for each in term.terms]
        if term.how == "not":
            return not found[0] if isinstance(found[0], bool) else found[0]
        if term.how == "if":
            return found[0] if isinstance(found[0], str) else found[1 if found[0] else 2]
        decides = term.how == "any"
        if decides in [each for each in found if isinstance(each, bool)]:
            return decides
        return next((each for each in found if isinstance(each, str)), not decides)

    def read_by(self, term: Term, service: int, subcluster: int) -> Mapping[str, Known | None]:
        """What the expression reads of the service and the sub-cluster, by name as it is written; None: unknown, or not
        there. In the order of names."""
        if not isinstance(term, Part):
            parts = (self.read_by(each, service, subcluster) for each in term.terms)
            return dict(sorted((item for part in parts for item in part.items()), key=lambda item: item[0]))
        found: dict[str, Known | None] = {}
        for each in term.reads:
            value = self._at(each, service, subcluster)
            if each.keys is None:
                found[each.fact.name] = value
            elif isinstance(value, dict):
                found |= {f"{each.fact.name}.{key}": value.get(key) for key in each.keys}
        return found

    def _evaluated(self, part: Part, services: Sequence[int]) -> Verdicts:
        fixed = self._of(part, ("fleet", "now"))
        mine, theirs = self._of(part, ("service",)), self._of(part, ("subcluster",))
        rows, row_of = self._alike(mine, services if mine else (0,))
        columns, column_of = self._alike(theirs, range(len(self._view.subclusters)) if theirs else (0,))
        shared = _values(fixed, tuple(self._column(each.fact)[0] for each in fixed))
        own = [_values(mine, tuple(self._column(each.fact)[row] for each in mine)) for row in rows]
        there = [shared | _values(theirs, tuple(self._column(each.fact)[at] for each in theirs)) for at in columns]
        grid = [[_number(part.program.evaluate(first | second)) for second in there] for first in own]
        small = np.array(grid, dtype=np.int8).reshape(len(own), len(there))
        return np.asarray(small[row_of][:, column_of])

    def _alike(self, reads: Sequence[Read], indices: Sequence[int]) -> tuple[list[int], list[int]]:
        """One index of each sort that differs in what is read, and for each index which sort it is of."""
        columns = [(each, self._column(each.fact)) for each in reads]
        sorts: dict[Hashable, int] = {}
        first: list[int] = []
        which = []
        for index in indices:
            mark = tuple(_mark(each, column[index]) for each, column in columns)
            sort = sorts.setdefault(mark, len(first))
            if sort == len(first):
                first.append(index)
            which.append(sort)
        return first, which

    def _of(self, part: Part, subjects: tuple[str, ...]) -> list[Read]:
        return [each for each in part.reads if each.subject in subjects]

    def _column(self, fact: Fact) -> list[Known | None]:
        """The fact of every service, or of every sub-cluster; of the fleet, a single value."""
        if fact.name not in self._columns:
            sizes = {"service": len(self._view.services), "subcluster": len(self._view.subclusters)}
            count = sizes.get(fact.subject, 1)
            self._columns[fact.name] = [fact.read(self._view, index) for index in range(count)]
        return self._columns[fact.name]

    def _at(self, each: Read, service: int, subcluster: int) -> Known | None:
        return each.fact.read(self._view, subcluster if each.subject == "subcluster" else service)


def _values(reads: Sequence[Read], found: Sequence[Known | None]) -> Values:
    """What an expression is evaluated on: of a map only the keys that are read."""
    values: Values = {}
    for each, value in zip(reads, found, strict=True):
        if isinstance(value, dict) and each.keys is not None:
            values[each.fact.name] = {key: value[key] for key in each.keys if key in value}
        elif value is not None:
            values[each.fact.name] = value
    return values


def _mark(each: Read, value: Known | None) -> Hashable:
    """The same for values that make no difference to the expression."""
    if isinstance(value, dict):
        return tuple(sorted(value.items())) if each.keys is None else tuple(map(value.get, each.keys))
    if isinstance(value, list):
        return tuple(tuple(sorted(one.items())) if isinstance(one, dict) else one for one in value)
    return value


def _number(result: bool | str) -> int:
    return FAILED if isinstance(result, str) else (TRUE if result else FALSE)

"""Depth-first branch and bound over a few services' options, as plain lists: for so few, arrays are slower.

The bound of an open node is what is assigned, plus for each open service the least it can cost with those assigned;
half of a call between two open services counts at either end, by the least it can cost there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

INFINITE = float("inf")
Use = list[tuple[int, float, float]]
"""What an option takes of each pool: (pool, cores, bytes). Pools are the sub-clusters, then the spending limits, where
the first amount is USD per hour and the second nothing."""


@dataclass
class Group:
    """`base[i][o]`: what option o of service i costs by itself; `use[i][o]` what it takes; `pairs[i, j][o][p]` what
    options o of i and p of j cost together, for both orders of a pair, infinite where forbidden; `loss[i]` what
    leaving i out costs; `free[pool]` what is left. `takes[i, j][o][p]`: what the calls between them take of pools."""

    base: list[list[float]]
    use: list[list[Use]]
    loss: list[float]
    free: list[list[float]]
    pairs: dict[tuple[int, int], list[list[float]]] = field(default_factory=dict)
    takes: dict[tuple[int, int], list[list[Use]]] = field(default_factory=dict)


class Search:
    """One search. With `partial`, services may be left out (option -1), and the bound is weaker."""

    def __init__(self, group: Group, *, partial: bool, below: float, budget: int):
        self._group = group
        self._count = len(group.base)
        self._threshold = _threshold(below)
        self._budget = budget
        self._pick = [-1] * self._count
        self.chosen: list[int] | None = None
        self.nodes = 0
        self.complete = True
        self._options = [[*range(len(base)), -1] if partial else list(range(len(base))) for base in group.base]
        tail = group.loss if partial else []
        self._exact = [[*base, *tail[i : i + 1]] for i, base in enumerate(group.base)]
        self._near: list[list[int]] = [[] for _ in range(self._count)]
        self._pairs: dict[tuple[int, int], list[list[float]]] = {}
        self._half: dict[tuple[int, int], list[float]] = {}
        for (i, j), matrix in sorted(group.pairs.items()):
            self._near[i].append(j)
            rows = [[*row, 0.0] for row in matrix] + [[0.0] * (len(group.base[j]) + 1)] if partial else matrix
            self._pairs[i, j] = rows
            self._half[i, j] = [0.5 * min(row, default=INFINITE) for row in rows]
        self._order = self._ordered()
        self._depth = {i: depth for depth, i in enumerate(self._order)}
        self._bounded = [list(values) for values in self._exact]
        for (i, _), half in self._half.items():
            self._bounded[i] = [a + b for a, b in zip(self._bounded[i], half, strict=True)]

    def run(self) -> list[int] | None:
        """The best assignment found that costs less than `below`: an option's number per service, -1 left out."""
        least = [min(values, default=INFINITE) for values in self._bounded]
        self._descend(0, 0.0, sum(least), least)
        return self.chosen

    def _ordered(self) -> list[int]:
        """The most decided service first, then always the one that those in order say most about."""
        pull = [0.0] * self._count
        regret = [_regret(values) for values in self._exact]
        order: list[int] = []
        left = list(range(self._count))
        while left:
            i = max(left, key=lambda m: (pull[m], regret[m], -m))
            left.remove(i)
            order.append(i)
            for j in self._near[i]:
                pull[j] += max((x for row in self._pairs[i, j] for x in row if x != INFINITE), default=0.0)
        return order

    def _descend(self, depth: int, spent: float, rest: float, least: list[float]) -> None:
        """Assign the service at `depth`, cheapest option first; `rest` is the sum of the open services' `least`."""
        if depth == self._count:
            self._threshold = _threshold(spent)
            self.chosen = list(self._pick)
            return
        i = self._order[depth]
        rest -= least[i]
        bounded, exact = self._bounded[i], self._exact[i]
        for position in sorted(range(len(bounded)), key=bounded.__getitem__):
            if spent + rest + bounded[position] >= self._threshold:
                return
            if self.nodes >= self._budget:
                self.complete = False
                return
            option = self._options[i][position]
            use = self._use(i, option) if option >= 0 else []
            if not self._take(use):
                continue
            self.nodes += 1
            self._pick[i] = option
            saved, changed, more = self._fix(i, position, least)
            if more < INFINITE:
                self._descend(depth + 1, spent + exact[position], rest + more, least)
            for j, (values, bound, low) in zip(changed, saved, strict=True):
                self._exact[j], self._bounded[j], least[j] = values, bound, low
            self._pick[i] = -1
            self._give_back(use)

    def _use(self, i: int, option: int) -> Use:
        """What the option takes, the calls to and from those already assigned included."""
        use = self._group.use[i][option]
        for j in self._near[i] if self._group.takes else ():
            if self._pick[j] >= 0 and (i, j) in self._group.takes:
                use = use + self._group.takes[i, j][option][self._pick[j]]
        return use

    def _take(self, use: Use) -> bool:
        free = self._group.free
        for taken, (c, cores, size) in enumerate(use):
            if (cores > 0 and cores > free[c][0]) or (size > 0 and size > free[c][1]):
                self._give_back(use[:taken])
                return False
            free[c][0] -= cores
            free[c][1] -= size
        return True

    def _give_back(self, use: Use) -> None:
        for c, cores, size in use:
            self._group.free[c][0] += cores
            self._group.free[c][1] += size

    def _fix(
        self, i: int, position: int, least: list[float]
    ) -> tuple[list[tuple[list[float], list[float], float]], list[int], float]:
        """Charge the chosen option's calls to the open neighbours.

        Returns what was there, who changed, and by how much `rest` rises."""
        saved, changed, more = [], [], 0.0
        for j in self._near[i]:
            if self._depth[j] < self._depth[i]:
                continue
            row, half = self._pairs[i, j][position], self._half[j, i]
            saved.append((self._exact[j], self._bounded[j], least[j]))
            changed.append(j)
            self._exact[j] = [a + b for a, b in zip(self._exact[j], row, strict=True)]
            self._bounded[j] = [
                INFINITE if h == INFINITE else a + b - h for a, b, h in zip(self._bounded[j], row, half, strict=True)
            ]
            low = min(self._bounded[j], default=INFINITE)
            more += low - least[j] if low < INFINITE else INFINITE
            least[j] = low
        return saved, changed, more


def _threshold(best: float) -> float:
    """Below what an assignment has to cost to be worth having."""
    return best if best == INFINITE else best - 1e-9 * (1.0 + abs(best))


def _regret(values: list[float]) -> float:
    finite = sorted(x for x in values if x != INFINITE)
    return finite[1] - finite[0] if len(finite) > 1 else INFINITE

"""In which order services are visited. Those of one number do not call each other and are worked on together.

Few numbers make quick sweeps; numbers that rise along the calls that weigh most make few sweeps enough, for what one
service says is heard by all behind it at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from federation.planner.prices.choices import Nodes

if TYPE_CHECKING:
    from federation.contracts.policy import Ints

CLUSTER = 16
"""How many services that call each other are ordered among themselves."""


def colours(nodes: Nodes) -> Ints:
    """[N] few numbers such that no pair has the same twice. Deterministic."""
    pairs = nodes.pairs
    near: list[list[int]] = [[] for _ in range(len(nodes))]
    for a, b in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True):
        near[a].append(b)
        near[b].append(a)
    found = [-1] * len(nodes)
    for node in sorted(range(len(nodes)), key=lambda each: (-len(near[each]), each)):
        used = {found[other] for other in near[node]}
        found[node] = next(number for number in range(len(used) + 1) if number not in used)
    return np.array(found, dtype=np.int64)


def levels(nodes: Nodes) -> Ints:
    """[N] numbers such that no pair has the same twice; in a cluster of heavy calls they rise from caller to called and
    on, and the clusters are numbered side by side. Deterministic."""
    count, pairs = len(nodes), nodes.pairs
    heavy = (pairs.weight * nodes.problem.price.mean(axis=(1, 2))).sum(axis=(1, 2))
    heavy[list(pairs.barriers)] = np.inf
    order = np.argsort(-heavy, kind="stable")
    first, second = pairs.first[order].tolist(), pairs.second[order].tolist()
    near: list[list[int]] = [[] for _ in range(count)]
    for a, b in zip(first, second, strict=True):
        near[a].append(b)
        near[b].append(a)
    position = _positions(near, _clusters(count, first, second))
    sequence = sorted(range(count), key=lambda node: (position[node], node))
    rank = [0] * count
    for place, node in enumerate(sequence):
        rank[node] = place
    level = [0] * count
    for node in sequence:
        level[node] = max((level[other] + 1 for other in near[node] if rank[other] < rank[node]), default=0)
    return np.array(level, dtype=np.int64)


def _clusters(count: int, first: list[int], second: list[int]) -> list[int]:
    """The cluster of each node, named by its first one; pairs in order of weight join clusters while they are small."""
    parent, size = list(range(count)), [1] * count

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for a, b in zip(first, second, strict=True):
        x, y = root(a), root(b)
        if x != y and size[x] + size[y] <= CLUSTER:
            x, y = min(x, y), max(x, y)
            parent[y] = x
            size[x] += size[y]
    return [root(node) for node in range(count)]


def _positions(near: list[list[int]], cluster: list[int]) -> list[int]:
    """Each node's number in its cluster, depth first along the heaviest pairs."""
    position = [0] * len(near)
    for start, name in enumerate(cluster):
        if start != name:
            continue
        stack, seen, number = [start], {start}, 0
        while stack:
            node = stack.pop()
            position[node] = number
            number += 1
            for other in reversed(near[node]):
                if other not in seen and cluster[other] == name:
                    seen.add(other)
                    stack.append(other)
    return position

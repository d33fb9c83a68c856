"""How good and how quick plans are: `python tests/benchmarks/bench_planner.py [SERVICESxSUBCLUSTERS ...]`.

Prints one line of JSON for each size (1000x30 where none is given), on the fleets of `fleets.py`: `seconds` until the
certified plan, `first_plan_seconds` until a plan with a quick bound, `bound`, `cost` and `gap` of the certified one,
`moves`: how many services a second plan would move of what the first one placed, `unplaced`, `peak_mib` of the process.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import numpy as np
from fleets import fleet

from federation.app import plan_request
from federation.model.meta import Metadata
from federation.model.placement import Placement, PlacementSpec
from federation.planner.decide import decide

NOW = 1_800_000_000.0
SIZES = ("1000x30",)


def measure(services: int, subclusters: int) -> dict[str, object]:
    resources = fleet(services, subclusters, seed=0)
    request = plan_request(resources, NOW)
    began = time.monotonic()
    decide(request, certify=False)
    first_s = time.monotonic() - began
    began = time.monotonic()
    plan = decide(plan_request(resources, NOW))
    took_s = time.monotonic() - began
    placed = [
        Placement(
            metadata=Metadata(name=each.service, namespace=each.namespace), spec=PlacementSpec(targets=each.targets)
        )
        for each in plan.placements
        if each.targets
    ]
    again = decide(plan_request([*resources, *placed], NOW), certify=False)
    return {
        "services": services,
        "subclusters": subclusters,
        "edges": len(request.view.edges),
        "seconds": round(took_s, 2),
        "first_plan_seconds": round(first_s, 2),
        "bound": round(plan.bound_usd_per_hour, 4),
        "cost": round(plan.total_usd_per_hour, 4),
        "gap": None if plan.gap is None else round(plan.gap, 5),
        "unplaced": int(np.sum([each.verdict != "placed" for each in plan.placements])),
        "moves": sum(a.targets != b.targets for a, b in zip(plan.placements, again.placements, strict=True)),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def main(sizes: list[str]) -> None:
    for size in sizes or SIZES:
        services, _, subclusters = size.partition("x")
        print(json.dumps(measure(int(services), int(subclusters))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

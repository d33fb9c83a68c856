"""What an opinion on rules costs: `make bench`, or this file alone. Prints a JSON line per rule and size.

A rule is evaluated once for all that are alike in what it reads, so the number of evaluations and not the size counts;
the last rule is the worst there is: it reads the names of both sides in one comparison, so that no two are alike.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from planning import policy, request, service, subcluster

from policies.rules import ENGINE

RULES = (
    "subcluster.labels.tier == 'gold' || service.replicas < 3",
    "service.images.all(i, ['registry.example/', 'example'].exists(p, i.startsWith(p)))",
    "has(subcluster.country) && subcluster.country in ['DE', 'FR'] && service.name != 'x'",
    "service.name != subcluster.name",
)
REGIONS = (("ec2", "eu-central-1"), ("gce", "europe-west1"), ("azure", "westeurope"), ("ec2", "us-east-1"))


def main() -> None:
    """Run all sizes."""
    for services, subclusters in ((1_000, 30), (10_000, 100)):
        fleet = [subcluster(f"s{index:03}", *REGIONS[index % 4]).model_copy(deep=True) for index in range(subclusters)]
        for index, each in enumerate(fleet):
            each.metadata.labels["tier"] = ("gold", "silver", "bronze")[index % 3]
        apps = [service(f"app-{index:05}", index % 12, namespace=f"n{index % 50}") for index in range(services)]
        for rule in RULES:
            rules = [{"expression": rule, "message": "a rule"}]
            view = request(apps, [policy("p", rules=rules)], fleet).view
            start = time.perf_counter()
            opinion = ENGINE.opine(view)
            seconds = time.perf_counter() - start
            share = 0.0 if opinion.denied is None else float(opinion.denied.mean())
            line = {"rule": rule, "services": services, "subclusters": subclusters, "seconds": round(seconds, 4)}
            print(json.dumps({**line, "denied": round(share, 3)}), flush=True)


if __name__ == "__main__":
    main()

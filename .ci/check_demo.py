"""Checks a demo's report once more, from outside: what it must hold, and the bars of its acts."""

from __future__ import annotations

import json
import sys
from pathlib import Path

PLANNED = ("migrate", "forbid", "drain")
NOISY = {f"p99 more than doubled in {name}" for name in PLANNED}


def faults(report: dict) -> list[str]:
    """What is wrong with the report; empty when nothing is."""
    found = [f"no `{key}`" for key in ("requests", "failed", "retried", "violations", "acts") if key not in report]
    if found:
        return found
    acts = {act["name"]: act for act in report["acts"]}
    for name in (*PLANNED, "kill"):
        missing = {"service", "from", "to", "seconds", "failed", "p50_ms", "p99_ms"} - acts.get(name, {}).keys()
        if missing:
            return [f"act {name} lacks {', '.join(sorted(missing))}"]
    kill = acts["kill"]
    checks = {
        "a request failed later than 5 s after the kill": (kill["last_failure_s"] or 0) <= 5,
        "a rule was broken": report["violations"] == 0,
        "failures outside the kill": report["failed"] == kill["failed"],
        "the demo itself missed another bar": all("p99" in bar for bar in report["missed"]),
    }
    for name in PLANNED:
        act = acts[name]
        checks |= {
            f"a request failed in {name}": act["failed"] == 0,
            f"more than 0.1 % retried in {name}": act["retried"] <= 0.001 * act["requests"],
            f"p99 more than doubled in {name}": act["p99_ms"] <= 2 * act["p99_before_ms"],
            f"the load was under 150 requests/s in {name}": act["requests"] >= 0.95 * 150 * act["seconds"],
        }
    return [what for what, met in checks.items() if not met]


def main(path: Path) -> int:
    """Exit code: 0 all well, 75 only a percentile was over its bar, 1 anything else."""
    if not path.is_file():
        print("demo report: there is none")
        return 1
    wrong = faults(json.loads(path.read_text(encoding="utf-8")))
    print("\n".join(f"demo report: {each}" for each in wrong) or "demo report: every bar met")
    if not wrong:
        return 0
    return 75 if set(wrong) <= NOISY else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

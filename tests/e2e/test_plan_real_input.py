"""`roam plan` on real manifests, the example fleet and the example policies, as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BOUTIQUE = Path(os.environ.get("ROAM_SHARED", ROOT.parent / "shared")) / "data" / "online-boutique"
WORLD = ("-f", str(ROOT / "examples" / "fleet.yaml"), "-f", str(ROOT / "examples" / "policies"))
PERSONAL = ("cartservice", "redis-cart", "checkoutservice", "paymentservice", "emailservice")

pytestmark = pytest.mark.e2e


def plan(*files: str) -> dict[str, Any]:
    words = [sys.executable, "-m", "federation", "plan", *(w for f in files for w in ("-f", f)), *WORLD, "-o", "json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def costs_add_up(found: dict[str, Any]) -> None:
    placements = found["placements"]
    for placement in placements:
        assert placement["cost_usd_per_hour"] == pytest.approx(sum(placement["terms"].values()), abs=1e-9)
        assert placement["targets"]
        assert placement["reasons"]
    assert found["total_usd_per_hour"] == pytest.approx(sum(p["cost_usd_per_hour"] for p in placements), abs=1e-9)
    assert found["total_usd_per_hour"] > 0


@pytest.mark.skipif(not BOUTIQUE.is_dir(), reason="../shared/data/online-boutique (or ROAM_SHARED) is not there")
def test_online_boutique() -> None:
    found = plan(str(BOUTIQUE))
    assert len(found["placements"]) == 12
    assert len(found["calls"]) == 16
    costs_add_up(found)
    where = {p["service"]: [target["subcluster"] for target in p["targets"]] for p in found["placements"]}
    assert all(where[name] == ["onprem-frankfurt"] for name in PERSONAL), "personal data left its permitted ground"


def test_the_shop() -> None:
    found = plan(str(ROOT / "examples" / "shop"))
    assert len(found["placements"]) == 10
    costs_add_up(found)
    frontend = next(p for p in found["placements"] if p["service"] == "frontend")
    assert len(frontend["targets"]) == 2

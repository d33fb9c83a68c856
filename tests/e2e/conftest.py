"""A failed test with a real controller shows the end of its log: on another machine nothing else is left of it."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from fleet_helpers import Fleet

LAST_BYTES = 12_000


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the log of the fixture `fleet`, without the requests that a waiting test makes."""
    report = yield
    fleet = getattr(item, "funcargs", {}).get("fleet")
    if report.failed and isinstance(fleet, Fleet) and fleet.log.exists():
        text = fleet.log.read_text(errors="replace")
        lines = [line for line in text.splitlines() if '"GET ' not in line]
        report.sections.append(("the controller's log", "\n".join(lines)[-LAST_BYTES:]))
    return report

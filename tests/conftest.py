"""For all tests: the shipped suites' assertions are explained like those written here, and CI refuses skipped tests."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# The same examples every time, so that a red run is about the change; look for new ones with
# `make unit ARGS="--hypothesis-profile=explore"`. A busy machine is no fault of a property.
_CALM = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("steady", derandomize=True, **_CALM)
settings.register_profile("explore", **_CALM)
settings.load_profile("steady")

pytest.register_assert_rewrite("federation.testing")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the end-to-end tests of one module on one worker, in order: they share what they start, and go on from where
    the test before left it. First of all hooks, since xdist's reads the groups."""
    for item in items:
        if item.get_closest_marker("e2e") and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A test is skipped only where a facility of the machine is missing; CI has them all, so there it is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped"):
        reporter.write_line(f"CI refuses {len(reporter.stats['skipped'])} skipped tests", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

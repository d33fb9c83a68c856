"""For all tests: the shipped suites' assertions are explained like those written here, and CI refuses skipped tests."""

from __future__ import annotations

import os

import pytest

pytest.register_assert_rewrite("federation.testing")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A test is skipped only where a facility of the machine is missing; CI has them all, so there it is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped"):
        reporter.write_line(f"CI refuses {len(reporter.stats['skipped'])} skipped tests", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

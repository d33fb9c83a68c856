"""What the suite itself relies on."""

from __future__ import annotations

import os

import pytest


@pytest.mark.xdist_group("kept-together")
def test_groups_are_kept_together(request: pytest.FixtureRequest) -> None:
    """Tests that share a sandbox have to stay on one worker; pytest 9.2 with pytest-xdist 3.8 spread them silently."""
    assert ("PYTEST_XDIST_WORKER" in os.environ) == request.node.nodeid.endswith("@kept-together")

"""For all tests: the shipped suites' assertions are explained like those written here."""

import pytest

pytest.register_assert_rewrite("federation.testing")

"""The SQL store keeps the contract, in a file and in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from federation.contracts.store import Store
from federation.store.sql import open_store
from federation.testing.store import StoreSuite


class TestFileStore(StoreSuite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        with closing(open_store(tmp_path / "store.db")) as store:
            yield store


class TestMemoryStore(StoreSuite):
    @pytest.fixture
    def store(self) -> Iterator[Store]:
        with closing(open_store(None)) as store:
            yield store

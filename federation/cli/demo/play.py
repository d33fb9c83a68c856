"""The play: a sandbox, a shop, its plan, load; then act after act, each compared with a calm time before it."""

from __future__ import annotations

import shutil
from pathlib import Path

from federation import sandbox
from federation.cli.demo.acts import drain, forbid, kill, migrate
from federation.cli.demo.evaluate import Report, build_report
from federation.cli.demo.screen import Screen
from federation.cli.demo.stage import Options, Stage, set_stage

ACTS = (migrate, kill, forbid, drain)


class Play:
    """One performance. `run` returns the report; whatever happens, `close` stops the load."""

    def __init__(self, options: Options, screen: Screen) -> None:
        self._options, self._screen = options, screen
        self._stage: Stage | None = None
        self._loading = False

    def run(self) -> Report:
        """The whole play. Raises: FederationError when the stage can't be set or an act does not end."""
        stage = self._stage = set_stage(self._options, self._screen)
        self._loading = True
        first_retry_count = stage.retries.total
        acts, befores = [], []
        for play in ACTS:
            befores.append(stage.calm())
            acts.append(play(stage))
        self._screen.step("the load stops; its last carts are read back")
        records = stage.load.stop()
        self._loading = False
        return build_report(acts, befores, records, stage.retries.read() - first_retry_count)

    def close(self) -> None:
        """Stop the load and the referee."""
        if self._stage is not None:
            self._stage.referee.close()
            if self._loading:
                self._stage.load.stop()


def remove(home: Path) -> None:
    """Take the sandbox down and its files with it."""
    sandbox.down(home)
    shutil.rmtree(home, ignore_errors=True)

"""The load generator as a process of its own, so that it shares no interpreter lock with what it measures."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import cast

from federation.errors import FederationError, TimedOut
from federation.sandbox.load.records import Figures, Record, Totals, read_records

STOP_LIMIT_S = 15.0  # a request's timeout, the reading back, and some reserve


class LoadProcess:
    """Open-loop load on the shop at `url`, `rate_per_s` requests a second, from `start` to `stop`.

    The child ends when this process does, however it ends: it watches its standard input. `records_file` keeps the
    records; without it they live in a temporary file that `stop` removes. Not to be started twice."""

    def __init__(
        self,
        url: str,
        rate_per_s: float = 150.0,
        *,
        seed: int = 0,
        report_every_s: float = 0.5,
        records_file: Path | None = None,
    ) -> None:
        self._options = ["--url", url, "--rate", str(rate_per_s), "--seed", str(seed)]
        self._options += ["--report-every", str(report_every_s)]
        self._records_file = records_file
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._newest: Figures | None = None
        self._news = threading.Event()
        self.totals: Totals | None = None

    def start(self) -> None:
        """Start the generator; the first request leaves some 0.2 s later."""
        if self._records_file is None:
            self._folder = tempfile.TemporaryDirectory(prefix="roam-load-")
            self._records_file = Path(self._folder.name) / "records.jsonl"
        command = [sys.executable, "-m", "federation.sandbox.load", *self._options, "--until-stdin-closes"]
        self._process = subprocess.Popen(
            [*command, "--records", str(self._records_file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        # A thread empties the pipe: a generator that waits for a reader would be no open loop.
        self._reader = threading.Thread(target=self._read, name="load-figures", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None  # noqa: S101, PT018 - set by start
        for line in self._process.stdout:
            figures = json.loads(line)
            if figures.get("final"):
                self.totals = cast(Totals, figures)
            else:
                self._newest = cast(Figures, figures)
                self._news.set()

    def poll(self, wait_s: float = 0.0) -> Figures | None:
        """Return the figures of the newest interval that no call has returned yet, waiting up to `wait_s` for them.

        None when there are no new ones. Raises: FederationError, when the generator has died."""
        self._news.wait(wait_s)
        self._news.clear()
        if self._process is not None and self._process.poll() is not None and self.totals is None:
            raise FederationError(f"the load generator ended by itself with code {self._process.returncode}")
        newest, self._newest = self._newest, None
        return newest

    def records(self) -> list[Record]:
        """Return the records of the requests whose outcome is known, but for those of the last interval."""
        if self._records_file is None or not self._records_file.exists():
            return []
        return read_records(self._records_file)

    def stop(self) -> list[Record]:
        """End the load, read back what was written, and return all records; `totals` is set then.

        Raises: TimedOut (the process is killed then); FederationError, when it failed."""
        process = self._process
        if process is None or process.stdin is None or self._reader is None:
            raise FederationError("the load was never started")
        process.stdin.close()
        try:
            code = process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.wait()
            raise TimedOut(f"the load generator did not end within {STOP_LIMIT_S:g} s") from error
        finally:
            self._reader.join(STOP_LIMIT_S)
            if process.stdout is not None:
                process.stdout.close()
            records = self.records()
            if self._folder is not None:
                self._folder.cleanup()
        if code != 0 or self.totals is None:
            raise FederationError(f"the load generator ended with code {code} and no totals")
        return records

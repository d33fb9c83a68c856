"""`python -m federation.sandbox.load --url http://HOST:PORT`: see `--help`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import selectors
import signal
import sys
from typing import NoReturn, TextIO

from federation.errors import InvalidInput
from federation.sandbox.load.generator import Generator, LoadOptions

SELECT_LIMIT = 400  # requests that may be under way when select(), with its limit of 1,024 files, still does


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(InvalidInput.exit_code, f"{self.prog}: {message}\n")


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError
    return value


def _above_zero(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError
    return value


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = _Parser(prog="python -m federation.sandbox.load", description=__doc__)
    parser.description = "Open-loop load on the example shop: JSON lines on stdout, the totals last. Never retries."
    parser.add_argument("--url", required=True, help="the shop's front page, http://HOST:PORT")
    parser.add_argument("--rate", type=_above_zero, default=150.0, help="requests a second (default 150)")
    parser.add_argument("--arrivals", choices=("poisson", "fixed"), default="poisson")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout", type=_above_zero, default=2.0, help="seconds until a request has failed")
    parser.add_argument("--fresh", type=_share, default=0.2, help="share of requests over new connections (0 to 1)")
    parser.add_argument("--report-every", type=_above_zero, default=0.5, help="seconds between lines")
    parser.add_argument("--seconds", type=_above_zero, help="stop after so long; otherwise on SIGTERM")
    parser.add_argument("--records", help="write a JSON line for each request to this file")
    parser.add_argument("--until-stdin-closes", action="store_true", help="stop when stdin ends, too")
    return parser.parse_args(argv)


async def _run(options: LoadOptions, log: TextIO | None, watch_stdin: bool) -> None:
    generator = Generator(options, sys.stdout, log)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, generator.stop)

    def read_stdin() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            loop.remove_reader(sys.stdin.fileno())
            generator.stop()

    if watch_stdin:
        loop.add_reader(sys.stdin.fileno(), read_stdin)
    await generator.run()


def main(argv: list[str] | None = None) -> int:
    """Run the load until told to stop. Returns the exit code: 0, or 64 for wrong usage."""
    arguments = _arguments(argv)
    options = LoadOptions(
        url=arguments.url,
        rate_per_s=arguments.rate,
        arrivals=arguments.arrivals,
        seed=arguments.seed,
        timeout_s=arguments.timeout,
        fresh_share=arguments.fresh,
        report_every_s=arguments.report_every,
        seconds=arguments.seconds,
    )
    try:
        options.address()
    except InvalidInput as error:
        print(f"load: {error}", file=sys.stderr)
        return error.exit_code
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(open(arguments.records, "w", encoding="utf-8")) if arguments.records else None
        # epoll() rounds a wait up to whole milliseconds, which would count as the shop's latency; select() does not.
        few = options.rate_per_s * options.timeout_s <= SELECT_LIMIT
        selector = selectors.SelectSelector() if few else selectors.DefaultSelector()
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
            runner.run(_run(options, log, arguments.until_stdin_closes))
    return 0


if __name__ == "__main__":
    sys.exit(main())

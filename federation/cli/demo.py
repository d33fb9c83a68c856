"""`roam demo`: a shop that roams under load, in the sandbox."""

from __future__ import annotations

from federation.errors import InvalidInput


def run_raw(words: list[str]) -> int:
    """Run the demo with these options; it reads them itself."""
    from federation.sandbox.demo import main

    try:
        return main(words)
    except SystemExit as ended:
        # argparse leaves with 2 where Roam says 64, and has said what is wrong.
        return InvalidInput.exit_code if ended.code == 2 else int(ended.code or 0)

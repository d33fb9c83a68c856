"""`roam`: picks the verb, turns every error into a message and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Protocol, cast

from federation import __version__
from federation.cli.output import use_colour
from federation.cli.parsing import Parser, UsageShown
from federation.errors import FederationError, InvalidInput, InvalidInputs, Unplaceable

INTERRUPTED, BROKEN_PIPE = 130, 141
_MOST_ERRORS = 50

VERBS: dict[str, tuple[str, str]] = {
    "serve": ("federation.cli.serve", "run the controller and its API"),
    "apply": ("federation.cli.apply", "create or change objects from files"),
    "get": ("federation.cli.get", "show objects"),
    "delete": ("federation.cli.delete", "take objects away, in an order that hurts nobody"),
    "label": ("federation.cli.label", "set and remove labels"),
    "annotate": ("federation.cli.label:ANNOTATE", "set and remove annotations"),
    "describe": ("federation.cli.describe", "all about an object on one page"),
    "events": ("federation.cli.events", "what happened, and why"),
    "diff": ("federation.cli.diff", "what applying files would change"),
    "validate": ("federation.cli.validate", "check files without a server"),
    "plan": ("federation.cli.plan", "where everything would run, what it costs, and why"),
    "cost": ("federation.cli.cost", "what runs costs, and what the proposal would save"),
    "why": ("federation.cli.why", "the reasons for and against each place of one service"),
    "why-not": ("federation.cli.whynot", "what keeps a service out of a sub-cluster, and what would let it in"),
    "simulate": ("federation.cli.simulate", "what if: a sub-cluster is lost, a price doubles, a rule is added"),
    "test": ("federation.cli.test", "policy tests: what must, may and must not happen"),
    "rollout": ("federation.cli.rollout", "a new template on its way: status, history, undo, restart"),
    "logs": ("federation.cli.logs", "what the pods of a service wrote, wherever they run"),
    "top": ("federation.cli.top", "what services and sub-clusters use"),
    "migrate": ("federation.cli.migrate", "move a running service to another sub-cluster"),
    "migrations": ("federation.cli.migrations", "the moves and how far they are"),
    "rollback": ("federation.cli.migrations:ROLLBACK", "undo a move that is under way"),
    "pause": ("federation.cli.migrations:PAUSE", "hold a move where it is"),
    "resume": ("federation.cli.migrations:RESUME", "let a paused move go on"),
    "unpin": ("federation.cli.unpin", "let the planner move a service again that was moved by hand"),
    "cordon": ("federation.cli.cordon:CORDON", "no new work for a sub-cluster"),
    "uncordon": ("federation.cli.cordon:UNCORDON", "work for a sub-cluster again"),
    "drain": ("federation.cli.drain", "move everything away from a sub-cluster"),
    "token": ("federation.cli.token", "who may use the API: create, list, revoke"),
    "audit": ("federation.cli.audit", "check the log of who wrote what"),
    "subcluster": ("federation.cli.subcluster", "fleet upkeep: remove"),
    "taint": ("federation.cli.taint", "keep services off a sub-cluster that don't tolerate it"),
    "atlas": ("federation.cli.atlas", "look up regions, jurisdictions, distances and transfer prices"),
    "backup": ("federation.cli.backup", "everything the controller knows, in one file"),
    "restore": ("federation.cli.restore", "make a backup the store of a stopped controller"),
    "completion": ("federation.cli.completion", "make bash, zsh or fish complete these verbs"),
    "sandbox": ("federation.cli.sandbox", "four local sub-clusters on this machine: up, down, status, kill, start"),
    "demo": ("federation.cli.demo", "a shop that roams under load, in the sandbox"),
}
"""Verb -> module (or module:Verb) and summary. A static table: the help needs none of the modules."""

_GROUPS = {
    "Declare": "apply diff validate delete label annotate get describe events",
    "Decide": "plan why why-not cost simulate test",
    "Run": "rollout logs top migrate migrations rollback pause resume unpin",
    "Keep the fleet": "subcluster cordon uncordon drain taint atlas snapshot sync",
    "Operate": "serve token audit backup restore",
    "Begin": "sandbox demo completion",
}
"""How `roam --help` arranges the verbs."""

_EXITS = (
    "0 done, 1 failed, 2 changes pending, 3 no room, 4 denied by policy, 5 timed out,\n"
    "7 the plan is stale, 64 wrong usage or input"
)


class _Verb(Protocol):
    @staticmethod
    def configure(parser: Parser) -> None: ...

    @staticmethod
    def run(args: object) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run `roam` with these arguments (None: the process's); returns the exit code. No traceback without --debug."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = bool(os.environ.get("ROAM_DEBUG")) or "--debug" in _options(words)
    if debug:
        words = [word for word in _options(words) if word != "--debug"] + words[len(_options(words)) :]
    try:
        code = _run(_obey_colour(words))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain once more when it closes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as error:
        if debug:
            raise
        return _report(error)
    return code


def _run(words: list[str]) -> int:
    if not words:
        print(_help(), file=sys.stderr)
        return InvalidInput.exit_code
    first, *rest = words
    if first in ("-h", "--help", "help"):
        if first == "help" and rest:
            return _run([rest[0], "--help"])
        print(_help())
        return 0
    if first in ("-V", "--version", "version"):
        print(f"roam {__version__}")
        return 0
    if first == "__complete":
        from federation.cli.completing import answer

        return answer(rest, VERBS)
    if first not in VERBS:
        from federation.model.nearest import suggestion

        if first.startswith("-"):
            raise InvalidInput(f"{first!r} comes too early: write the verb first, as in roam get ms -A (roam --help)")
        raise InvalidInput(f"{first!r} is not a verb of roam; {suggestion(first, VERBS)} (roam --help)")
    place, summary = VERBS[first]
    module, _, name = place.partition(":")
    found = import_module(module)
    verb = cast(_Verb, getattr(found, name) if name else found)
    parser = Parser(prog=f"roam {first}", description=summary[0].upper() + summary[1:] + ".")
    verb.configure(parser)
    try:
        args = parser.parse_args(rest)
    except UsageShown:
        return 0
    return verb.run(args)


def _report(error: Exception) -> int:
    if isinstance(error, InvalidInputs):
        for one in error.errors[:_MOST_ERRORS]:
            _complain(str(one))
        if len(error.errors) > _MOST_ERRORS:
            _complain(f"and {len(error.errors) - _MOST_ERRORS} more")
        return error.exit_code
    if isinstance(error, FederationError):
        for line in str(error).splitlines() or [type(error).reason]:
            _complain(line)
        if isinstance(error, Unplaceable):
            return 4 if error.denied else 3
        return error.exit_code
    if isinstance(error, OSError) and error.strerror:
        _complain(f"{error.filename}: {error.strerror}" if error.filename else error.strerror)
        return 1
    _complain(f"unexpected {type(error).__name__}: {error}; --debug shows where")
    return 1


def _complain(message: str) -> None:
    print(f"roam: error: {message}", file=sys.stderr)


def _options(words: list[str]) -> list[str]:
    """The words before a `--`."""
    return words[: words.index("--")] if "--" in words else words


def _obey_colour(words: list[str]) -> list[str]:
    """`words` without `--color WHEN`, which is obeyed. Raises: InvalidInput."""
    ours = _options(words)
    kept: list[str] = []
    when = "auto"
    rest = iter(ours)
    for word in rest:
        name, equals, value = word.partition("=")
        if name != "--color":
            kept.append(word)
            continue
        when = value if equals else next(rest, "")
        if when not in ("auto", "always", "never"):
            raise InvalidInput(f"--color takes auto, always or never, not {when!r}")
    use_colour(when)
    return kept + words[len(ours) :]


def _help() -> str:
    width = max(len(verb) for verb in VERBS)
    verbs = "\n\n".join(
        "\n".join([f"{title}:", *(f"  {verb:<{width}}  {VERBS[verb][1]}" for verb in names.split() if verb in VERBS)])
        for title, names in _GROUPS.items()
    )
    return f"""usage: roam VERB [options]

One federation of on-premises clusters, GCE, EC2 and Azure.

{verbs}

  roam VERB --help    what a verb takes
  roam --version      {__version__}
  --color WHEN        auto, always or never; or $NO_COLOR
  --debug             show where an unexpected error came from (or ROAM_DEBUG=1)

New here? `roam demo`, or `roam sandbox up` and `roam apply -f examples/shop`.
Exit codes: {_EXITS}."""


if __name__ == "__main__":
    sys.exit(main())

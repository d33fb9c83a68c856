"""`roam test`: whether a fleet, its services and its policies do what policy tests expect of them."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from federation.cli.output import coloured, print_json, printable
from federation.cli.parsing import add_files, add_namespace, add_output
from federation.errors import InvalidInput, InvalidInputs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from federation.whatif.expecting import CaseResult, Failure, TestResult

FAILED = 1


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "A PolicyTest has cases: changes, as a Scenario's step has them, and what is expected then (runsIn, never,\n"
        "mayRunIn, mustNotRunIn, placed, verdict, deniedBy, maxHourly; moves, movesAtMost, unplaced, outOfPolicy).\n"
        "The fleet, the services and the policies are the other documents of its file, and the files that its\n"
        "`spec.files` name, which are to be in its folder or below (or in --root). No server is asked.\n\n"
        "examples:\n"
        "  roam test -f examples/policy-tests --root examples\n"
        "  roam test --junit report.xml\n\n"
        "exit codes: 0 all pass, 1 some fail, 64 invalid input"
    )
    add_files(
        parser,
        required=False,
        what="a file with tests, or a folder to search for them, those below included (default: .); repeat for more",
    )
    add_namespace(parser)
    add_output(parser, "table", "json")
    parser.add_argument(
        "--root", type=Path, metavar="DIR", help="where spec.files may lead (default: the test's folder)"
    )
    parser.add_argument("--junit", type=Path, metavar="FILE", help="also write the outcome there as JUnit XML")


def run(args: Any) -> int:
    """Run the tests."""
    from federation.cli.testfiles import find_tests, load_test

    results: list[TestResult] = []
    errors: list[InvalidInput] = []
    for file in find_tests(args.files or ["."]):
        try:
            results += load_test(file, args.namespace, args.root)
        except InvalidInputs as error:
            errors += error.errors
        except InvalidInput as error:
            errors.append(error)
    if errors:
        raise InvalidInputs(tuple(errors))
    if args.junit is not None:
        from federation.cli.junit import write_junit

        write_junit(args.junit, results)
    print_json(document(results)) if args.output == "json" else _print(results)
    return 0 if all(case.passed for result in results for case in result.cases) else FAILED


def document(results: Sequence[TestResult]) -> dict[str, Any]:
    """All outcomes as JSON-like data, snake_case; stable names that programs may rely on."""
    passed, failed = _sums(results)
    return {"tests": [result.document() for result in results], "passed": passed, "failed": failed}


def lines_of(failure: Failure) -> list[str]:
    """What is to be said of an expectation that does not hold."""
    who = f"{failure.service} " if failure.service is not None else ""
    lines = [f"expected: {who}{failure.expected} ({failure.expectation})", f"found:    {failure.found}"]
    return [printable(line) for line in [*lines, *(f"          {reason}" for reason in failure.reasons)]]


def _print(results: Sequence[TestResult]) -> None:
    for result in results:
        print(coloured(printable(f"{result.file}: {result.name}"), "bold"))
        for case in result.cases:
            _print_case(case)
    passed, failed = _sums(results)
    total = passed + failed
    print(f"{total} {'case' if total == 1 else 'cases'}: {passed} passed, {failed} failed.")


def _print_case(case: CaseResult) -> None:
    mark = coloured("ok  ", "green") if case.passed else coloured("FAIL", "red")
    place = "" if case.passed or case.line is None else f" (line {case.line})"
    print(f"  {mark} {printable(case.name)}{place}")
    for failure in case.failures:
        for line in lines_of(failure):
            print(f"         {line}")


def _sums(results: Sequence[TestResult]) -> tuple[int, int]:
    cases = [case for result in results for case in result.cases]
    passed = sum(case.passed for case in cases)
    return passed, len(cases) - passed

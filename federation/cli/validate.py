"""`roam validate`: everything about files that can be known without a server, each with file and line."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import TYPE_CHECKING, Any

from federation.cli.output import coloured, print_json, printable
from federation.cli.parsing import add_files, add_namespace, add_output
from federation.errors import InvalidInput, InvalidInputs

if TYPE_CHECKING:
    from federation.cli.findings import Finding

_HOW = {"error": "red", "warning": "yellow", "note": "dim"}


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Errors: what is not valid YAML, unknown kinds and fields, wrong values, objects that stand there twice,\n"
        "policies that contradict each other.\n"
        "Warnings: calls to services and references to configuration that are not among the files, selectors that\n"
        "match nothing; and, when the files hold sub-clusters too, services that none of them may or can take.\n\n"
        "examples:\n"
        "  roam validate -f shop/ -f policies/ -f fleet.yaml\n"
        "  kubectl kustomize overlays/prod | roam validate -f - --strict\n"
        "  roam validate -f shop/ -o json\n\n"
        "exit codes: 64 there are errors (--strict: or warnings), 0 otherwise"
    )
    add_files(parser, required=True)
    add_namespace(parser)
    add_output(parser, "table", "json")
    parser.add_argument("--strict", action="store_true", help="warnings are errors")


def run(args: Any) -> int:
    """Check the files."""
    from federation.cli.findings import Finding, check_files

    try:
        count, found = check_files(args.files, args.namespace)
    except InvalidInput as error:
        errors = error.errors if isinstance(error, InvalidInputs) else (error,)
        count, found = 0, [Finding.of("error", each) for each in errors]
    errors_found = sum(one.severity == "error" for one in found)
    warnings = sum(one.severity == "warning" for one in found)
    failed = bool(errors_found or (args.strict and warnings))
    if args.output == "json":
        numbers = {"valid": not failed, "objects": count, "errors": errors_found, "warnings": warnings}
        print_json({**numbers, "findings": [one.document() for one in found]})
    else:
        for one in found:
            _print(one)
        objects = f"{count} {'object' if count == 1 else 'objects'}, " if count else ""
        print(f"{objects}{_count(errors_found, 'error')}, {_count(warnings, 'warning')}")
    return InvalidInput.exit_code if failed else 0


def _print(one: Finding) -> None:
    place = f"{one.file}:{one.line}: " if one.file and one.line else (f"{one.file}: " if one.file else "")
    field = f"{one.field}: " if one.field else ""
    print(f"{printable(place)}{coloured(one.severity, _HOW[one.severity])}: {printable(field + one.message)}")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"

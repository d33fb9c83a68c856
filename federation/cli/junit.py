"""Policy tests' outcome as JUnit XML, which CI systems show.

Source: the schema of Jenkins' xUnit plugin (junit-10.xsd); a failure's text is what `roam test` prints."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from federation.cli.test import lines_of

if TYPE_CHECKING:
    from federation.whatif.expecting import CaseResult, TestResult

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 can't hold, not even escaped."""


def write_junit(path: Path, results: Sequence[TestResult]) -> None:
    """Write the outcomes to `path`: a suite each test, a case each case. Raises: OSError."""
    tree = ElementTree(junit(results))
    indent(tree)
    tree.write(path, encoding="utf-8", xml_declaration=True)


def junit(results: Sequence[TestResult]) -> Element:
    """The outcomes as a `testsuites` element."""
    cases = [case for result in results for case in result.cases]
    root = Element("testsuites", _sums("roam test", cases))
    for result in results:
        suite = SubElement(root, "testsuite", {**_sums(_text(result.name), result.cases), "file": _text(result.file)})
        for case in result.cases:
            names = {"classname": _text(result.name), "name": _text(case.name), "file": _text(result.file)}
            element = SubElement(suite, "testcase", names | ({} if case.line is None else {"line": str(case.line)}))
            for failure in case.failures:
                lines = lines_of(failure)
                text = SubElement(element, "failure", {"type": failure.expectation, "message": _text(lines[0])})
                text.text = _text("\n".join(lines))
    return root


def _sums(name: str, cases: Sequence[CaseResult]) -> dict[str, str]:
    failed = sum(not case.passed for case in cases)
    return {"name": name, "tests": str(len(cases)), "failures": str(failed), "errors": "0"}


def _text(text: str) -> str:
    return _NOT_XML.sub("?", text)

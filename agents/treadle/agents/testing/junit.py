"""A report as JUnit XML, which every CI reads."""

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from treadle.agents.testing.reports import Problem, Report, Verdict

# XML 1.0, section 2.2: these characters cannot stand in a document, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(reports: Sequence[Report]) -> bytes:
    """One suite per template, one case per test."""
    root = ElementTree.Element("testsuites")
    for report in reports:
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=_clean(report.template),
            tests=str(len(report.verdicts)),
            failures=str(report.failed),
            errors="0",
            skipped="0",
            time=_seconds(sum(verdict.seconds for verdict in report.verdicts)),
        )
        for verdict in report.verdicts:
            _add_case(suite, report.template, verdict)
    ElementTree.indent(root)
    document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _add_case(suite: ElementTree.Element, template: str, verdict: Verdict) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=_clean(template),
        name=_clean(verdict.name),
        time=_seconds(verdict.seconds),
    )
    for problem in verdict.problems:
        failure = ElementTree.SubElement(case, "failure", message=_clean(problem.title))
        failure.text = _clean(_text(problem))


def _text(problem: Problem) -> str:
    return "\n".join([problem.title, *(f"  {line}" for line in problem.lines)])


def _clean(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def _seconds(value: float) -> str:
    return f"{value:.3f}"

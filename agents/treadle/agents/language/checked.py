"""A template that may run."""

from collections.abc import Mapping
from dataclasses import dataclass

from treadle.agents.errors import Issue, TemplateInvalid
from treadle.agents.language.check import check
from treadle.agents.language.findings import MOST, Findings, TooMany
from treadle.agents.language.loading import load
from treadle.agents.language.model import Template
from treadle.agents.language.parser import parse
from treadle.integrations.registry import AnyTool


@dataclass(frozen=True, slots=True)
class CheckedTemplate:
    """A template without errors.

    Attributes:
        text: As it was given, to be stored byte for byte.
        warnings: What is probably not meant.
    """

    template: Template
    text: str
    warnings: tuple[Issue, ...]


def parse_template(text: str, *, tools: Mapping[str, AnyTool]) -> CheckedTemplate:
    """Read and check a template, YAML or JSON; raises `TemplateInvalid` with all issues."""
    template, issues = _read(text, tools)
    if template is None or any(issue.severity == "error" for issue in issues):
        raise TemplateInvalid(issues)
    return CheckedTemplate(template, text, tuple(issues))


def check_template(text: str | bytes, *, tools: Mapping[str, AnyTool]) -> list[Issue]:
    """Everything wrong or doubtful about a template, in the order of its text."""
    try:
        return _read(text, tools)[1]
    except TemplateInvalid as error:
        return error.issues


def _read(text: str | bytes, tools: Mapping[str, AnyTool]) -> tuple[Template | None, list[Issue]]:
    findings = Findings(load(text))
    template: Template | None = None
    try:
        template = parse(findings)
        if template is not None:
            check(template, findings, tools=tools)
    except TooMany:
        message = f"more than {MOST} findings; the rest is not shown"
        return None, [*findings.issues, Issue("error", "", 1, 1, message)]
    return template, findings.issues

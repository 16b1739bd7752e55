"""What can go wrong with templates and their runs.

AgentsError
├── TemplateInvalid        a template has errors; carries the whole list of issues
├── ExpressionError        an expression cannot be parsed or evaluated
├── InputsInvalid          a run's inputs do not fit the template; carries issues
└── LeaseLost              this process no longer owns the run: stop touching it
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Issue:
    """One finding about a template or its inputs.

    Attributes:
        path: Dotted, such as `nodes.greet.with.text`; empty for the whole document.
        line: Counts from 1; `None` where there is no text.
        column: Counts from 1; `None` where there is no text.
        hint: What to do about it, `None` where the message says it.
    """

    severity: Literal["error", "warning"]
    path: str
    line: int | None
    column: int | None
    message: str
    hint: str | None = None


class AgentsError(Exception):
    """Base of all errors of this folder."""


class TemplateInvalid(AgentsError):
    """The template has errors; `issues` lists them all, warnings included."""

    def __init__(self, issues: list[Issue]) -> None:
        errors = [issue for issue in issues if issue.severity == "error"]
        first = errors[0] if errors else issues[0]
        where = f"line {first.line}, {first.path}" if first.line else first.path
        super().__init__(f"{len(errors)} error(s) in the template; {where}: {first.message}")
        self.issues = issues


class InputsInvalid(AgentsError):
    """Inputs do not fit what the template declares."""

    def __init__(self, issues: list[Issue]) -> None:
        super().__init__(f"invalid inputs: {issues[0].path}: {issues[0].message}")
        self.issues = issues


class ExpressionError(AgentsError):
    """An expression is wrong or could not be evaluated.

    Attributes:
        offset: Position in the source, 0-based, `None` if it concerns the whole.
    """

    def __init__(self, message: str, *, offset: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


class LeaseLost(AgentsError):
    """Another process owns the run now (its epoch moved on); nothing more may be written."""

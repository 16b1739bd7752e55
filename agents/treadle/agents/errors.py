"""What can go wrong with templates and their runs.

AgentsError
├── TemplateInvalid        a template has errors; carries the whole list of issues
├── ExpressionError        an expression cannot be parsed or evaluated
├── InputsInvalid          a run's inputs do not fit the template; carries issues
├── StepFailed             a step's attempt failed; `retry`, then `on_error`, decide what follows
├── StepWaits              a step waits for somebody and its run parks
├── OutcomeUnknown         an effect that must not be repeated may have happened
├── Blocked                the gate was closed before a step began; nothing was done or stored
└── LeaseLost              this process no longer owns the run: stop touching it
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from treadle.integrations.errors import ErrorClass

if TYPE_CHECKING:
    from treadle.agents.ports import StepError


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


class StepFailed(AgentsError):
    """One attempt of a step failed.

    Attributes:
        code: Stable identifier, snake_case, for programs.
        may_repeat: Whether another attempt can do no harm.
        retry_after_s: Seconds the receiver asked to wait, if it did.
        error: Set where the failure comes from a step inside this one (an item of a map).
    """

    def __init__(
        self,
        message: str,
        *,
        error_class: ErrorClass,
        code: str,
        may_repeat: bool = True,
        retry_after_s: float | None = None,
        error: "StepError | None" = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.error_class = error_class
        self.code = code
        self.may_repeat = may_repeat
        self.retry_after_s = retry_after_s
        self.error = error


class StepWaits(AgentsError):
    """Nothing works any more and a step waits: it stops listening, so that its run can park."""

    def __init__(self) -> None:
        super().__init__("waiting, and nobody listens any longer")


class OutcomeUnknown(AgentsError):
    """An effect that must not be repeated may have happened: a person settles the step.

    Attributes:
        intent: Ledger entry of the effect, withdrawn before it may be tried again.
    """

    def __init__(self, intent: str) -> None:
        super().__init__("the effect may have happened and must not be repeated")
        self.intent = intent


class Blocked(AgentsError):
    """The gate is closed: this step has not begun and leaves no entry."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"not begun: {reason}")
        self.reason = reason

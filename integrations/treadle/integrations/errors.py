"""What can go wrong in a tool, a model call or an outgoing request.

IntegrationError
├── ToolError              a tool, model or request failed in a way that a template can handle
│   └── EgressDenied       the egress guard refused an address before anything was sent
├── UnknownTool            no integration declares a tool of this name
├── BadAllowList           TREADLE_EGRESS_ALLOW has a wrong entry (`egress.allowlist`)
├── BadCredential          a connection of type http is described wrongly (`egress.credentials`)
└── BadModelsFile          models.yaml has a mistake (`models.errors`)
"""

from enum import StrEnum


class ErrorClass(StrEnum):
    """The closed list of error classes a template may name (`retry.on`, `error.class`)."""

    TIMEOUT = "timeout"
    RATE_LIMIT = "rate_limit"
    UPSTREAM = "upstream"
    INVALID_OUTPUT = "invalid_output"
    INVALID_INPUT = "invalid_input"
    DENIED = "denied"
    BUDGET = "budget"
    CANCELLED = "cancelled"
    WORKER_CRASH = "worker_crash"
    INTERNAL = "internal"


class Delivery(StrEnum):
    """Whether a failed request can have had its effect: decides what may be repeated."""

    NOT_SENT = "not_sent"
    """Nothing left this process."""
    REFUSED = "refused"
    """The receiver answered that it did nothing (4xx, 429)."""
    UNKNOWN = "unknown"
    """The request may have arrived and been carried out."""


class IntegrationError(Exception):
    """Base of all errors of this folder."""


class ToolError(IntegrationError):
    """A tool failed in a way its caller can handle.

    Args:
        message: What failed, where, and what to do about it; shown to people.
        error_class: Decides whether `retry` applies.
        code: Stable identifier, snake_case, for programs.
        delivery: Whether the effect can have happened.
        retry_after_s: Seconds the receiver asked to wait, if it did.
    """

    def __init__(
        self,
        message: str,
        *,
        error_class: ErrorClass,
        code: str,
        delivery: Delivery = Delivery.NOT_SENT,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.error_class = error_class
        self.code = code
        self.delivery = delivery
        self.retry_after_s = retry_after_s


class EgressDenied(ToolError):
    """The guard refused an address; nothing was sent."""

    def __init__(self, message: str, *, code: str = "egress_denied") -> None:
        super().__init__(message, error_class=ErrorClass.DENIED, code=code)


class UnknownTool(IntegrationError):
    """No integration declares this tool."""

    def __init__(self, name: str, *, similar: list[str]) -> None:
        hint = f"; did you mean {similar[0]!r}?" if similar else ""
        super().__init__(f"no tool {name!r}{hint}")
        self.name = name
        self.similar = similar

"""Retries and timeouts of one step: when another attempt is allowed, and how long to wait."""

from dataclasses import dataclass

from treadle.agents.errors import StepFailed
from treadle.integrations.errors import ErrorClass

RETRIED_BY_DEFAULT = frozenset({ErrorClass.TIMEOUT, ErrorClass.RATE_LIMIT, ErrorClass.UPSTREAM})


@dataclass(frozen=True, slots=True)
class Policy:
    """How often, how long and on what a step is tried.

    Attributes:
        attempts: Including the first.
        initial_s: Seconds before the second attempt.
        max_s: The longest wait of our own choice; a receiver may ask for more.
        is_exponential: Whether the wait doubles with every attempt.
        timeout_s: Per attempt; for a container over all.
    """

    attempts: int = 1
    initial_s: float = 1.0
    max_s: float = 60.0
    is_exponential: bool = True
    on: frozenset[ErrorClass] = RETRIED_BY_DEFAULT
    timeout_s: float | None = None

    def allows_another(self, attempt: int, failure: StepFailed) -> bool:
        """Whether a step whose given attempt (from 1) failed may be tried again."""
        return attempt < self.attempts and failure.may_repeat and failure.error_class in self.on

    def delay_s(self, attempt: int, failure: StepFailed) -> float:
        """Seconds to wait after this attempt; at least what the receiver asked for."""
        factor = 2.0 ** (attempt - 1) if self.is_exponential else 1.0
        own = min(self.initial_s * factor, self.max_s)
        return max(own, failure.retry_after_s or 0.0)

"""What came of a template's tests."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as the test wants it.

    Attributes:
        title: The expectation, or what broke the test.
        lines: What it found instead, for people.
    """

    title: str
    lines: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one test.

    Attributes:
        steps: How many steps its run took.
    """

    name: str
    seconds: float
    steps: int
    problems: Sequence[Problem] = ()

    @property
    def is_passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class Report:
    """All tests of one template."""

    template: str
    version: str
    verdicts: Sequence[Verdict]

    @property
    def failed(self) -> int:
        """How many did not pass."""
        return sum(not verdict.is_passed for verdict in self.verdicts)

    @property
    def is_passed(self) -> bool:
        """Whether there are tests and all passed: an untested template has shown nothing."""
        return bool(self.verdicts) and not self.failed

"""From at least to at most."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Range:
    """Both ends included; without `high` nothing bounds it."""

    low: float
    high: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Range":
        """From the least to the most of some values."""
        return cls(min(values), max(values))

    @classmethod
    def exactly(cls, value: float) -> "Range":
        """One value."""
        return cls(value, value)

    def plus(self, other: "Range") -> "Range":
        """The sum."""
        open_ = self.high is None or other.high is None
        return Range(self.low + other.low, None if open_ else (self.high or 0) + (other.high or 0))

    def times(self, other: "Range") -> "Range":
        """The product; nothing times the unbounded is nothing."""
        if self.high == 0 or other.high == 0:
            return NOTHING
        if self.high is None or other.high is None:
            return Range(self.low * other.low, None)
        return Range(self.low * other.low, self.high * other.high)

    def longest(self, other: "Range") -> "Range":
        """Of two that go on side by side."""
        open_ = self.high is None or other.high is None
        high = None if open_ else max(self.high or 0, other.high or 0)
        return Range(max(self.low, other.low), high)

    def capped(self, most: float | None) -> "Range":
        """Not above a cap."""
        if most is None:
            return self
        high = most if self.high is None else min(self.high, most)
        return Range(min(self.low, high), high)

    def maybe(self) -> "Range":
        """The same, or nothing."""
        return Range(0, self.high)


NOTHING = Range(0, 0)
ONCE = Range(1, 1)
ANY = Range(0, None)

"""What nodes need together."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from treadle.agents.plan.ranges import NOTHING, Range


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums over nodes; `seconds` is the time of the longest path and treated apart.

    Attributes:
        calls: By tool.
        unknowns: What has no upper end, and why.
    """

    steps: Range = NOTHING
    model_calls: Range = NOTHING
    tokens: Range = NOTHING
    seconds: Range = NOTHING
    calls: Mapping[str, Range] = field(default_factory=dict[str, Range])
    unknowns: tuple[str, ...] = ()

    def beside(self, other: "Tally") -> "Tally":
        """Both, side by side: their times do not add up."""
        names = dict.fromkeys((*self.calls, *other.calls))
        return Tally(
            steps=self.steps.plus(other.steps),
            model_calls=self.model_calls.plus(other.model_calls),
            tokens=self.tokens.plus(other.tokens),
            seconds=self.seconds.longest(other.seconds),
            calls={
                name: self.calls.get(name, NOTHING).plus(other.calls.get(name, NOTHING))
                for name in names
            },
            unknowns=self.unknowns + other.unknowns,
        )

    def repeated(self, times: Range, *, rounds: Range | None = None) -> "Tally":
        """So many times; `rounds` of them one after the other (all, if it is left out)."""
        return Tally(
            steps=self.steps.times(times),
            model_calls=self.model_calls.times(times),
            tokens=self.tokens.times(times),
            seconds=self.seconds.times(times if rounds is None else rounds),
            calls={name: count.times(times) for name, count in self.calls.items()},
            unknowns=self.unknowns if times.high != 0 else (),
        )

    def maybe(self) -> "Tally":
        """The same, or nothing."""
        return Tally(
            steps=self.steps.maybe(),
            model_calls=self.model_calls.maybe(),
            tokens=self.tokens.maybe(),
            seconds=self.seconds.maybe(),
            calls={name: count.maybe() for name, count in self.calls.items()},
            unknowns=self.unknowns,
        )

    def lasting(self, seconds: Range) -> "Tally":
        """The same in another time."""
        return replace(self, seconds=seconds)

"""Semantic versions, and ranges as npm writes them: `1.2.3`, `^1.2`, `~1.2`, `1.x`, `>=1 <3`."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import total_ordering

from typing_extensions import override

_IDENTIFIER = r"(?:0|[1-9][0-9]{0,8})"
_VERSION = re.compile(
    rf"({_IDENTIFIER})\.({_IDENTIFIER})\.({_IDENTIFIER})"
    r"(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)
_PART = rf"(?:{_IDENTIFIER}|[xX*])"
_COMPARATOR = re.compile(
    rf"(\^|~|>=|<=|>|<|=)?v?({_PART})(?:\.({_PART}))?(?:\.({_PART}))?(?:-([0-9A-Za-z.-]+))?"
)
MAX_LENGTH = 100


class WrongVersion(ValueError):
    """A version or range is not written as it must be."""


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """A semantic version; build metadata is dropped. A pre-release comes before its release."""

    major: int
    minor: int
    patch: int
    pre: tuple[str, ...] = ()

    def __lt__(self, other: "Version") -> bool:
        """Order by precedence (semver.org, section 11)."""
        return self._key() < other._key()

    @override
    def __str__(self) -> str:
        core = f"{self.major}.{self.minor}.{self.patch}"
        return f"{core}-{'.'.join(self.pre)}" if self.pre else core

    def _key(self) -> tuple[int, int, int, bool, list[tuple[bool, int, str]]]:
        ranks = [(False, int(part), "") if part.isdigit() else (True, 0, part) for part in self.pre]
        return (self.major, self.minor, self.patch, not self.pre, ranks)

    @property
    def next_patch(self) -> "Version":
        """The next free number after this one."""
        return Version(self.major, self.minor, self.patch + (not self.pre))


def parse_version(text: str) -> Version:
    """Read `1.4.0`; raises `WrongVersion`."""
    found = _VERSION.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if found is None:
        raise WrongVersion(f"{text[:40]!r} is no semantic version such as 1.4.0")
    pre = tuple(found[4].split(".")) if found[4] else ()
    if any(part.isdigit() and len(part) > 1 and part[0] == "0" for part in pre):
        raise WrongVersion(f"{text[:40]!r} has a pre-release number that starts with 0")
    return Version(int(found[1]), int(found[2]), int(found[3]), pre)


@dataclass(frozen=True, slots=True)
class _Span:
    """From `low` on, and below `high`, which is open-ended when `None`."""

    low: Version
    high: Version | None

    def holds(self, version: Version) -> bool:
        return self.low <= version and (self.high is None or version < self.high)


@dataclass(frozen=True, slots=True)
class VersionRange:
    """A set of versions. Pre-releases are in it only where the range names their number."""

    source: str
    alternatives: tuple[tuple[_Span, ...], ...]

    def holds(self, version: Version) -> bool:
        """Whether a version is in the range."""
        return any(_all_hold(spans, version) for spans in self.alternatives)

    def newest(self, versions: Iterable[Version]) -> Version | None:
        """The newest of these in the range."""
        return max((version for version in versions if self.holds(version)), default=None)


def parse_range(text: str) -> VersionRange:
    """Read a range; empty text and `*` mean any release. Raises `WrongVersion`."""
    if len(text) > MAX_LENGTH:
        raise WrongVersion(f"a range has at most {MAX_LENGTH} characters")
    alternatives = tuple(
        tuple(_span(comparator, text) for comparator in part.split() or ["*"])
        for part in re.sub(r"([\^~<>=])\s+", r"\1", text).split("||")
    )
    return VersionRange(text, alternatives)


def _all_hold(spans: tuple[_Span, ...], version: Version) -> bool:
    if not all(span.holds(version) for span in spans):
        return False
    if not version.pre:
        return True
    core = (version.major, version.minor, version.patch)
    named = (span.low for span in spans if span.low.pre)
    return any((low.major, low.minor, low.patch) == core for low in named)


def _span(comparator: str, source: str) -> _Span:
    found = _COMPARATOR.fullmatch(comparator)
    if found is None:
        raise WrongVersion(f"{source[:40]!r} is no version range such as 1.2.3, ^1.2 or 1.x")
    operator, *parts, pre = found.groups()
    numbers: list[int] = []
    for part in parts:
        if part is None or part in "xX*":
            break
        numbers.append(int(part))
    if not numbers:
        return _Span(Version(0, 0, 0), None)
    low = _padded(numbers, tuple(pre.split(".")) if pre else ())
    return _bounded(operator or "=", numbers, low)


def _bounded(operator: str, numbers: list[int], low: Version) -> _Span:
    after = _after(numbers, len(numbers))
    match operator:
        case ">=":
            return _Span(low, None)
        case ">":
            return _Span(_just_after(low) if len(numbers) == 3 else after, None)
        case "<":
            return _Span(Version(0, 0, 0), low)
        case "<=":
            return _Span(Version(0, 0, 0), _just_after(low) if len(numbers) == 3 else after)
        case "~":
            return _Span(low, _after(numbers, min(2, len(numbers))))
        case "^":
            return _Span(low, _after(numbers, _caret_place(numbers)))
        case _:
            return _Span(low, _just_after(low) if len(numbers) == 3 else after)


def _caret_place(numbers: list[int]) -> int:
    """How many numbers stay: up to the first that is not zero."""
    for place, number in enumerate(numbers, start=1):
        if number:
            return place
    return len(numbers)


def _padded(numbers: list[int], pre: tuple[str, ...] = ()) -> Version:
    major, minor, patch = (*numbers, 0, 0)[:3]
    return Version(major, minor, patch, pre)


def _after(numbers: list[int], places: int) -> Version:
    """The lowest version whose first numbers are greater; pre-releases of it are below."""
    kept = [*numbers[: places - 1], numbers[places - 1] + 1]
    return _padded(kept, ("0",))


def _just_after(version: Version) -> Version:
    if version.pre:
        return Version(version.major, version.minor, version.patch, (*version.pre, "0"))
    return Version(version.major, version.minor, version.patch + 1, ("0",))

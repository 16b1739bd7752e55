"""Regular expressions of people's schemas: bounded when compiled and when searched."""

import math
import re
import warnings
from functools import lru_cache

import regex

MAX_LENGTH = 500
MAX_REPEATS = 10_000
SEARCH_S = 0.02
_COUNTS = re.compile(r"\{(\d*)(?:,(\d*))?\}")


class WrongPattern(ValueError):
    """A pattern cannot be used; the message says why."""


@lru_cache(maxsize=512)
def compile_pattern(source: str) -> regex.Pattern[str]:
    """Compile a pattern; raises `WrongPattern`."""
    if len(source) > MAX_LENGTH:
        raise WrongPattern(f"a pattern has at most {MAX_LENGTH} characters")
    counts = [max(int(n or 1) for n in found) for found in _COUNTS.findall(source[:MAX_LENGTH])]
    if math.prod(max(count, 1) for count in counts) > MAX_REPEATS:
        raise WrongPattern(f"the counts of a pattern may multiply to {MAX_REPEATS} at most")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about sets that other versions read differently
            return regex.compile(source)
    except regex.error as error:
        raise WrongPattern(f"wrong pattern: {error}") from None


def is_found(source: str, text: str) -> bool:
    """Whether a text holds a match.

    Raises:
        WrongPattern: The pattern is wrong, or the search takes too long.
    """
    try:
        return compile_pattern(source).search(text, timeout=SEARCH_S) is not None
    except TimeoutError:
        raise WrongPattern("the pattern takes too long to search; make it simpler") from None

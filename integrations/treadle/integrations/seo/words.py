"""Words, phrases and when two of them are the same keyword."""

import re
from functools import cache

from treadle.integrations.seo.lexicon import CONNECTORS, STOP
from treadle.integrations.seo.vocabulary import vocabulary

_QUESTION = re.compile(
    r"^(how|what|why|when|where|who|which|can|does|do|is|are|should"
    r"|wie|was|warum|wann|wo|welche\w*|kann)\b"
)
WORD = re.compile(r"[^\W_]+(?:[-'.][^\W_]+)*\+*#?")
_KEEP_S = vocabulary(
    """
    aws sms dns css js saas gas bus lens analysis basis bias series news canvas status
    kubernetes https postgres redis access process business class address express espresso press
    gps this does always alias atlas chaos corpus virus campus census focus bonus cos ios
    """
)
_SHORT = {"info": "information", "docs": "documentation", "colour": "color"}


def is_question(keyword: str) -> bool:
    """Whether a clean keyword asks in a whole sentence."""
    return _QUESTION.match(keyword) is not None


def words_of(text: str) -> list[str]:
    """The lower-case words of a text, in order; hyphens and inner dots stay inside a word."""
    return [match.group().lower() for match in WORD.finditer(text)]


@cache
def singular(word: str) -> str:
    """A plural's likely singular; only used to compare, never shown."""
    if len(word) < 4 or word in _KEEP_S or word.endswith(("ss", "us", "is", "'s")):
        return word.removesuffix("'s")
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes", "zes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") else word


@cache
def phrase_key(text: str) -> tuple[str, ...]:
    """Equal for spellings of one phrase: case, plural and hyphens do not count."""
    parts = (singular(part) for word in words_of(text) for part in word.split("-") if part)
    return tuple(_SHORT.get(part, part) for part in parts)


@cache
def content_key(text: str) -> frozenset[str]:
    """The content words of a phrase, without order."""
    return frozenset(word for word in phrase_key(text) if word not in STOP | CONNECTORS)


def phrase_pattern(text: str) -> re.Pattern[str]:
    """Finds whole-word, case-insensitive uses of a phrase in text normalised by `pages.plain`."""
    return re.compile(rf"(?<![\w-]){re.escape(text)}(?![\w-])", re.IGNORECASE)

"""`seo.normalize`: one entry per keyword, whatever its spelling."""

from collections.abc import Sequence

from pydantic import Field
from rapidfuzz import fuzz

from treadle.integrations.base import Effect, Params, Result, ToolContext, tool
from treadle.integrations.seo.lexicon import CONNECTORS
from treadle.integrations.seo.pages import plain
from treadle.integrations.seo.vocabulary import vocabulary
from treadle.integrations.seo.words import phrase_key

TYPO = 94.0  # RapidFuzz ratio from which two long words are one with a slip of the finger
MIN_TYPO_LENGTH = 7  # shorter words that differ by a letter are other words: "form", "from"
_MAX_WORDS = 10
_STRIP = (
    " \t\"'`.,;:!?()[]{}<>*_#|-/\\"
    "\u00b4\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb\u2022\u00b7\u2013\u2014"
)
_ARTICLES = vocabulary("a an the")
_ORDER_MATTERS = vocabulary(
    """
    vs versus to from in on for by than or into between
    """
)


class NormalizeParams(Params):
    """Keywords from any sources, best first: of two spellings the earlier one stays."""

    keywords: tuple[str, ...]
    max_keywords: int = Field(default=1000, ge=1, le=10_000)


class Normalized(Result):
    """The keywords that stay, in their first order, and which spellings went into which."""

    keywords: list[str]
    merged: dict[str, str]


@tool("seo.normalize", effect=Effect.READ, is_quick=True)
def normalize_keywords(ctx: ToolContext, params: NormalizeParams) -> Normalized:
    """Clean keywords and merge those that differ only in case, plural, word order or a typo."""
    kept: dict[tuple[str, ...], str] = {}
    merged: dict[str, str] = {}
    for raw in params.keywords:
        text = clean(raw)
        if not text or len(text.split()) > _MAX_WORDS:
            continue
        key = merge_key(text)
        first = kept.get(key) or _typo_of(key, kept)
        if first is None:
            kept[key] = text
        elif first != text:
            merged[text] = first
    keywords = list(kept.values())[: params.max_keywords]
    return Normalized(keywords=keywords, merged=merged)


def clean(text: str) -> str:
    """Lower case, NFKC, single spaces, no punctuation around; `c++`, `c#` and `.net` stay."""
    text = plain(text).lower()
    tail = "".join(sign for sign in "+#" if text.endswith(sign))
    head = "." if text.startswith(".") and text[1:2].isalpha() else ""
    inner = text.strip(_STRIP)
    if tail and not inner.endswith(tail):
        inner += tail
    return f"{head}{inner}" if any(sign.isalnum() for sign in inner) else ""


def merge_key(text: str) -> tuple[str, ...]:
    """Equal for spellings of one keyword; order counts only beside words that give it sense."""
    key = phrase_key(text) or (text,)
    tail = text[len(text.rstrip("+#")) :]  # "c", "c++" and "c#" are three keywords
    words = (
        key
        if set(key) & _ORDER_MATTERS
        else tuple(sorted(set(key) - CONNECTORS - _ARTICLES)) or key
    )
    return (*words, tail) if tail else words


def _typo_of(key: Sequence[str], kept: dict[tuple[str, ...], str]) -> str | None:
    """A kept keyword with the same words but for one long word that is nearly the same."""
    for other, text in kept.items():
        if len(other) != len(key):
            continue
        pairs = [(a, b) for a, b in zip(key, other, strict=True) if a != b]
        if len(pairs) == 1 and _is_typo(*pairs[0]):
            return text
    return None


def _is_typo(a: str, b: str) -> bool:
    if min(len(a), len(b)) < MIN_TYPO_LENGTH or any(sign.isdigit() for sign in a + b):
        return False
    return a[0] == b[0] and fuzz.ratio(a, b) >= TYPO

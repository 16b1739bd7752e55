"""Where a phrase may begin and end: candidate phrases of 1 to 5 words in a line of text.

No tagger is at hand, so boundaries come from punctuation, function words and the word classes of
`lexicon`. What looks like code (paths, identifiers, commands) never becomes a candidate.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from treadle.integrations.seo.lexicon import (
    BODY_VERBS,
    BOILERPLATE,
    CONNECTORS,
    GENERIC,
    IMPERATIVES,
    MODIFIERS,
    NOUN_VERBS,
    PARTICIPLES,
    STOP,
    VERBS,
)
from treadle.integrations.seo.pages import Zone
from treadle.integrations.seo.words import WORD, singular, words_of

MAX_WORDS = 5
LABELS = frozenset({Zone.TITLE, Zone.HEADINGS, Zone.ANCHORS, Zone.JSON_LD})
"""Zones of short labels, where a verb may open a phrase and a connector may stand inside."""

_CODE_LINE = re.compile(r"[{}<>$\\`|=]|;\s*$|^\s*(?:curl|docker|npm|pip|sudo|import|export|git) ")
_TOUCHES_CODE = re.compile(r"[_/\\=${}<>@#.:~%*`|+]")
_MIXED = re.compile(r"[a-z][A-Z]|\d[A-Za-z]{3,}|[A-Za-z]{4,}\d|^v\d|\..{3,}|'")
_BOILERPLATE = frozenset(BOILERPLATE)
_MAX_CODE_SIGNS = 2
_NOUNS_IN_ABLE = frozenset(["table", "cable", "variable", "timetable", "vegetable", "bible"])


@dataclass(frozen=True, slots=True)
class Candidate:
    """A phrase of a line, in lower case.

    Attributes:
        is_whole_line: The line is nothing else.
        is_name: Written with a capital inside a sentence; `None` where that says nothing.
    """

    text: str
    is_whole_line: bool
    is_name: bool | None


def candidates(line: str, zone: Zone) -> Iterator[Candidate]:
    """Yield every phrase of a normalised line that may be a keyword, once per occurrence."""
    if zone is Zone.BODY and len(_CODE_LINE.findall(line)) > _MAX_CODE_SIGNS:
        return
    whole = " ".join(words_of(line))
    for number, run in enumerate(_runs(line)):
        opens = not number and line.lower().startswith(run[0].lower())
        for start, end in _spans(len(run)):
            words = run[start:end]
            lowered = [word.lower() for word in words]
            sound = is_phrase(lowered, zone, opens=opens and not start)
            is_line = len(run) == len(whole.split())
            if not sound or not _is_complete(run, start, end, is_line=is_line):
                continue
            if not _is_asked(line, lowered):
                yield _candidate(words, whole, inside=zone is Zone.BODY and bool(start))


def _spans(size: int) -> Iterator[tuple[int, int]]:
    """Where phrases of up to five words begin and end in a run of so many words."""
    for start in range(size):
        for end in range(start + 1, min(start + MAX_WORDS, size) + 1):
            yield start, end


def longest(line: str, zone: Zone) -> list[str]:
    """The candidates of a line that are no part of another one of that line."""
    texts = [f" {candidate.text} " for candidate in candidates(line, zone)]
    return [a.strip() for a in texts if not any(a != b and a in b for b in texts)]


def is_phrase(words: list[str], zone: Zone, *, opens: bool) -> bool:
    """Whether these neighbouring words make a sound phrase in this zone.

    `opens` says that they open the line: only there a verb is an instruction.
    """
    first, last, inner = words[0], words[-1], words[1:-1]
    if (
        last in STOP
        or last in VERBS
        or last in MODIFIERS
        or _is_quality(last)
        or not _may_open(words, zone, opens=opens)
    ):
        return False
    connectors = [word for word in inner if word in CONNECTORS]
    if len(connectors) > 1 or (connectors and zone not in LABELS):
        return False
    if len(words) > 1 and last in NOUN_VERBS and singular(words[-2]) != words[-2]:
        return False  # "hiking tours run": a plural and what it does
    if any(word in VERBS or (word in STOP and word not in CONNECTORS) for word in inner):
        return False
    if len(words) == 1 and (first in GENERIC or len(first) <= 2):
        return False
    return " ".join(words) not in _BOILERPLATE


def _is_asked(line: str, words: list[str]) -> bool:
    """Whether the last word is the verb of a question: "how does the repair service work?"."""
    asked = line.endswith("?") and line.lower().endswith(f"{words[-1]}?")
    return asked and words[-1] in NOUN_VERBS | {"cost", "work"}


def _is_quality(word: str) -> bool:
    """An adjective by its ending ("searchable", "excluded"): it does not end a phrase."""
    if word.endswith("ed"):
        return word not in PARTICIPLES
    return word.endswith(("able", "ible")) and word not in _NOUNS_IN_ABLE


def _candidate(words: list[str], whole: str, *, inside: bool) -> Candidate:
    text = " ".join(words).lower()
    is_name = all(word[0].isupper() for word in words) if inside else None
    return Candidate(text=text, is_whole_line=text == whole, is_name=is_name)


def _is_complete(run: list[str], start: int, end: int, *, is_line: bool) -> bool:
    """A phrase with a connector is the whole run but for function words before it."""
    connectors = {word.lower() for word in run[start:end]} & CONNECTORS
    if not connectors:
        return True
    if "and" in connectors and (start or end < len(run) or not is_line):
        return False  # "taste and price" may be the end of a longer list
    return end == len(run) and all(word.lower() in STOP for word in run[:start])


def _may_open(words: list[str], zone: Zone, *, opens: bool) -> bool:
    first = words[0]
    if first in STOP or first in MODIFIERS or (zone is Zone.BODY and first in BODY_VERBS):
        return False
    if first not in VERBS:
        return not first.endswith("ed") or first in PARTICIPLES or "-" in first
    imperative = first in IMPERATIVES or first.endswith("ing")
    return opens and zone in {Zone.TITLE, Zone.HEADINGS} and imperative and len(words) > 1


def _runs(line: str) -> Iterator[list[str]]:
    """Split a line into runs of plain words: nothing but a space stands between them."""
    run: list[str] = []
    end = 0
    for match in WORD.finditer(line):
        if run and line[end : match.start()] != " ":
            yield run
            run = []
        end = match.end()
        if _is_code(line, match):
            if run:
                yield run
            run = []
        else:
            run.append(match.group())
    if run:
        yield run


def _is_code(line: str, match: re.Match[str]) -> bool:
    """Whether a word is a number, an identifier, a path or the like."""
    word = match.group()
    if word.isdigit() or (len(word) == 1) or len(word) > 24:
        return True
    before = line[match.start() - 1 : match.start()]
    after = line[match.end() : match.end() + 1]
    if _TOUCHES_CODE.match(before) or after in {"_", "=", "/", "\\", "(", "{", "@"}:
        return True
    lowered = word[0].lower() + word[1:] if word[1:].islower() else word
    return bool(_MIXED.search(lowered)) and not _is_name(word)


def _is_name(word: str) -> bool:
    """`OpenAI`, `WebUI`, `GitHub`, `Node.js`: a capital first, or a well-known tail."""
    return word.endswith(".js") or (word[0].isupper() and word.isalpha())

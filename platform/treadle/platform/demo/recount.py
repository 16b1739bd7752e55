"""Figures of a plan, counted again in the pages they name: by other code than made them."""

import re
from collections.abc import Iterable, Sequence
from html.parser import HTMLParser
from urllib.error import URLError
from urllib.request import urlopen

from typing_extensions import override

from treadle.platform.demo.rows import Figure, TableRow

_TIMEOUT_S = 10.0
_EXACT = frozenset({"title", "description"})
"""Zones that have nothing around them which the analysis leaves out."""


def sample_figures(rows: Sequence[TableRow], *, size: int) -> list[Figure]:
    """Figures from all over the table: one row after the other, each time the next zone."""
    figures = [
        row.evidence[index % len(row.evidence)] for index, row in enumerate(rows) if row.evidence
    ]
    step = max(1, len(figures) // size)
    return figures[::step][:size]


def recounted(figures: Iterable[Figure]) -> list[tuple[Figure, int]]:
    """Each figure with what a fresh look at its page finds."""
    pages: dict[str, _Zones] = {}
    found: list[tuple[Figure, int]] = []
    for figure in figures:
        if figure.url not in pages:
            pages[figure.url] = _read(figure.url)
        found.append((figure, _count(figure.text, pages[figure.url].text_of(figure.zone))))
    return found


def holds(figure: Figure, found: int) -> bool:
    """Whether a figure is right: equal, or no larger where a page has navigation around it."""
    return found == figure.count if figure.zone in _EXACT else found >= figure.count > 0


class _Zones(HTMLParser):
    """Sorts a page's text by the element it stands in."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[str] = []
        self._texts: dict[str, list[str]] = {}

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "meta":
            fields = dict(attrs)
            if fields.get("name") == "description":
                self._keep("description", fields.get("content") or "")
        elif tag not in {"link", "br", "hr", "img", "input"}:
            self._open.append(tag)

    @override
    def handle_endtag(self, tag: str) -> None:
        for texts in self._texts.values():
            texts.append(" ")  # what two elements say is not one word
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    @override
    def handle_data(self, data: str) -> None:
        inside = set(self._open)
        if "title" in inside:
            self._keep("title", data)
        elif "script" in inside:
            self._keep("json_ld", data)
        elif "style" not in inside:
            self._keep("body", data)
            if inside & {"h1", "h2", "h3", "h4", "h5", "h6"}:
                self._keep("headings", data)
            if "a" in inside:
                self._keep("anchors", data)

    def text_of(self, zone: str) -> str:
        """A zone's text with single spaces."""
        return " ".join("".join(self._texts.get(zone, [])).replace("\u2019", "'").split())

    def _keep(self, zone: str, text: str) -> None:
        self._texts.setdefault(zone, []).append(text)


def _read(url: str) -> _Zones:
    zones = _Zones()
    try:
        with urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - pages this demo serves
            zones.feed(answer.read().decode("utf-8", errors="replace"))
    except (URLError, TimeoutError):
        return zones  # nothing is found on a page that is gone
    return zones


def _count(text: str, where: str) -> int:
    return len(re.findall(rf"(?<![\w-]){re.escape(text)}(?![\w-])", where, re.IGNORECASE))

"""Counting words on pages so that anybody can count them again."""

from collections.abc import Mapping, Sequence

from treadle.integrations.base import Result
from treadle.integrations.seo.chrome import Lines
from treadle.integrations.seo.pages import WEIGHTS, Zone
from treadle.integrations.seo.words import phrase_pattern, singular, words_of

MAX_EVIDENCE = 8  # rows shown per keyword; figures are over all pages


class Evidence(Result):
    """`text` stands `count` times in the `zone` of the page at `url` (whole words, any case)."""

    url: str
    zone: Zone
    count: int
    text: str


class PageIndex:
    """The zones of all pages, ready to be searched for phrases."""

    def __init__(self, lines: Mapping[str, Lines]) -> None:
        self._zones = [
            (url, zone, text, text.lower())
            for url, zones in lines.items()
            for zone, zone_part in zones.items()
            if (text := "\n".join(zone_part))
        ]

    def count(self, surfaces: Sequence[str]) -> list[Evidence]:
        """Count each spelling in each zone of each page, as a reader with Ctrl-F would."""
        patterns = [(surface, phrase_pattern(surface)) for surface in surfaces]
        return [
            Evidence(url=url, zone=zone, count=count, text=surface)
            for url, zone, text, lowered in self._zones
            for surface, pattern in patterns
            if surface in lowered and (count := len(pattern.findall(text)))
        ]


def spellings(keyword: str) -> list[str]:
    """A keyword as it may stand on a page: with and without hyphens, singular and plural."""
    forms = {keyword, keyword.replace("-", " ")}
    for form in list(forms):
        head, _, last = form.rpartition(" ")
        for other in {singular(last), last + "s"} if words_of(last) else set[str]():
            forms.add(f"{head} {other}".strip())
    return sorted(forms)


def strongest(evidence: Sequence[Evidence]) -> list[Evidence]:
    """The rows that weigh most, best first."""
    ordered = sorted(evidence, key=lambda row: (-WEIGHTS[row.zone] * row.count, row.url, row.zone))
    return ordered[:MAX_EVIDENCE]

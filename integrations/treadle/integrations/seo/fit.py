"""How close a phrase is to what was asked for (the seeds): by its words, and by its pages."""

from collections.abc import Collection, Mapping, Sequence
from math import fsum

from treadle.integrations.seo.chrome import Lines
from treadle.integrations.seo.pages import Zone
from treadle.integrations.seo.words import content_key

_TOPIC_ZONES = (Zone.TITLE, Zone.HEADINGS, Zone.DESCRIPTION)


class PageAffinity:
    """How much each page is about the seeds, so that words beside a seed count as near it."""

    def __init__(self, seeds: Sequence[str], lines: Mapping[str, Lines]) -> None:
        self._seeds = [key for seed in seeds if (key := content_key(seed))]
        self._pages = {url: self._of(zones) for url, zones in lines.items()} if self._seeds else {}

    def fit(self, words: frozenset[str], urls: Collection[str]) -> float | None:
        """Half the share of a seed's words in the phrase, half the affinity of its pages."""
        if not self._seeds:
            return None
        lexical = word_fit(words, self._seeds)
        context = fsum(self._pages.get(url, 0.0) for url in urls) / max(1, len(urls))
        return round(max(lexical, 0.5 * lexical + 0.5 * context), 3)

    def of_page(self, url: str) -> float:
        """How much a page is about the nearest seed, 0 to 1."""
        return self._pages.get(url, 0.0)

    def _of(self, zones: Lines) -> float:
        topic = content_key(" ".join(line for zone in _TOPIC_ZONES for line in zones[zone]))
        body = content_key(" ".join(zones[Zone.BODY]))
        return max(
            0.6 * len(seed & topic) / len(seed) + 0.4 * len(seed & body) / len(seed)
            for seed in self._seeds
        )


def word_fit(words: frozenset[str], seeds: Sequence[frozenset[str]]) -> float:
    """The largest share of a seed's content words that a phrase has, 0 to 1."""
    return max((len(seed & words) / len(seed) for seed in seeds), default=0.0)

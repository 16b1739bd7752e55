"""A search engine over the sample pages, answering as SearXNG does (`/search?q=…&format=json`)."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

PAGE_SIZE = 10
_K1, _B = 1.2, 0.75  # the usual BM25 constants
_TITLE_WEIGHT = 4
_CUT = 0.5  # of the best score: a page that barely touches the words is no result
_SNIPPET = 200
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Document:
    """A page to be found."""

    url: str
    title: str
    text: str


class SearchIndex:
    """BM25 over all documents."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._documents = documents
        self._bags = [
            Counter(_words(document.title) * _TITLE_WEIGHT + _words(document.text))
            for document in documents
        ]
        self._mean = sum(bag.total() for bag in self._bags) / max(1, len(documents))
        self._seen = Counter(word for bag in self._bags for word in bag)

    def search(self, query: str) -> list[tuple[float, Document]]:
        """The documents that answer a query, best first."""
        words = sorted(set(_words(query)))
        scored = [
            (self._score(words, bag), document)
            for bag, document in zip(self._bags, self._documents, strict=True)
        ]
        best = max((score for score, _ in scored), default=0.0)
        hits = [(score, document) for score, document in scored if score and score >= _CUT * best]
        return sorted(hits, key=lambda hit: (-hit[0], hit[1].url))

    def answer(self, query: str, *, page: int) -> dict[str, object]:
        """One page of results in SearXNG's shape."""
        hits = self.search(query)
        shown = hits[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
        return {
            "query": query,
            "number_of_results": len(hits),
            "results": [
                {
                    "url": document.url,
                    "title": document.title,
                    "content": _snippet(document.text, query),
                    "engine": "samples",
                    "score": round(score, 3),
                    "category": "general",
                }
                for score, document in shown
            ],
            "answers": [],
            "suggestions": [],
        }

    def _score(self, words: Sequence[str], bag: Counter[str]) -> float:
        length = _K1 * (1 - _B + _B * bag.total() / self._mean)
        return math.fsum(
            self._rarity(word) * bag[word] * (_K1 + 1) / (bag[word] + length)
            for word in words
            if bag[word]
        )

    def _rarity(self, word: str) -> float:
        count = len(self._documents)
        return math.log(1 + (count - self._seen[word] + 0.5) / (self._seen[word] + 0.5))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _snippet(text: str, query: str) -> str:
    lowered = text.lower()
    at = min((i for word in _words(query) if (i := lowered.find(word)) >= 0), default=0)
    start = max(0, at - 60)
    return " ".join(text[start : start + _SNIPPET].split())

"""`difficulty_proxy`: how hard a first page of results looks, from those results alone.

Our proposal, no tool's secret: big names, titles that say exactly the keyword, results that cover
its words, and home pages make it hard; forums among the results make it easier. Links and age are
unknown to us and take no part.
"""

from collections.abc import Sequence
from statistics import fmean

from treadle.integrations.base import Result
from treadle.integrations.seo.page_types import PageType, type_of_result
from treadle.integrations.seo.pages import site_of
from treadle.integrations.seo.serps import Hit
from treadle.integrations.seo.vocabulary import vocabulary
from treadle.integrations.seo.words import content_key, phrase_key

FORMULA = "0.35 big_domains + 0.30 exact_titles + 0.25 coverage + 0.10 home_pages - 0.20 forums"

# Sites nearly everybody has to compete with, whatever the topic. Kept short on purpose.
_BIG = vocabulary(
    """
    wikipedia.org amazon.com amazon.de ebay.com youtube.com facebook.com instagram.com linkedin.com
    pinterest.com tripadvisor.com booking.com forbes.com nytimes.com theguardian.com bbc.com
    microsoft.com google.com apple.com ibm.com aws.amazon.com github.com medium.com hubspot.com
    salesforce.com zapier.com g2.com capterra.com
    """
)
MIN_HITS = 3


class Difficulty(Result):
    """The proxy and its parts, each a share of the results, 0 to 1."""

    value: float
    big_domains: float
    exact_titles: float
    coverage: float
    home_pages: float
    forums: float
    results: int


def difficulty_of(keyword: str, hits: Sequence[Hit]) -> Difficulty | None:
    """The proxy from the first page of results; `None` with fewer than three results."""
    if len(hits) < MIN_HITS:
        return None
    types = [type_of_result(hit.url, hit.title or "") for hit in hits]
    big = fmean(_is_big(hit.url) for hit in hits)
    exact = fmean(_has_phrase(keyword, hit.title or "") for hit in hits)
    coverage = fmean(_coverage(keyword, hit) for hit in hits)
    homes = fmean(kind is PageType.HOME for kind in types)
    forums = fmean(kind is PageType.FORUM for kind in types)
    raw = 0.35 * big + 0.30 * exact + 0.25 * coverage + 0.10 * homes - 0.20 * forums
    return Difficulty(
        value=round(min(1.0, max(0.0, raw)), 3),
        big_domains=round(big, 3),
        exact_titles=round(exact, 3),
        coverage=round(coverage, 3),
        home_pages=round(homes, 3),
        forums=round(forums, 3),
        results=len(hits),
    )


def _is_big(url: str) -> bool:
    host = site_of(url)
    return any(host == name or host.endswith(f".{name}") for name in _BIG)


def _has_phrase(keyword: str, title: str) -> bool:
    return f" {' '.join(phrase_key(keyword))} " in f" {' '.join(phrase_key(title))} "


def _coverage(keyword: str, hit: Hit) -> float:
    words = content_key(keyword)
    seen = content_key(f"{hit.title or ''} {hit.snippet or ''}")
    return len(words & seen) / len(words) if words else 0.0

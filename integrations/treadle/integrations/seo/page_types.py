"""What kind of page an address is: a vote on what its readers want."""

import re
from collections.abc import Sequence
from enum import StrEnum
from urllib.parse import urlsplit

from treadle.integrations.seo.pages import Page, json_ld_types, site_of


class PageType(StrEnum):
    """Closed list, in the words SEO people use."""

    HOME = "home"
    PRODUCT = "product"
    CATEGORY = "category"
    PRICING = "pricing"
    COMPARISON = "comparison"
    LISTICLE = "listicle"
    ARTICLE = "article"
    GUIDE = "guide"
    DOCS = "docs"
    FAQ = "faq"
    FORUM = "forum"
    VIDEO = "video"
    OTHER = "other"


_BY_SCHEMA = (
    (PageType.FAQ, {"FAQPage", "QAPage"}),
    (PageType.GUIDE, {"HowTo"}),
    (PageType.DOCS, {"TechArticle", "APIReference"}),
    (PageType.ARTICLE, {"Article", "BlogPosting", "NewsArticle"}),
    (PageType.PRODUCT, {"Product", "SoftwareApplication", "TouristTrip", "Service", "Trip"}),
    (PageType.CATEGORY, {"CollectionPage", "ItemList", "OfferCatalog"}),
)
_BY_ADDRESS = (
    (PageType.FORUM, r"reddit\.com|quora\.com|stackoverflow|stackexchange|forum|community\."),
    (PageType.VIDEO, r"youtube\.com|youtu\.be|vimeo\.com"),
    (PageType.PRICING, r"\b(pricing|prices|plans)\b"),
    (PageType.COMPARISON, r"\b(vs|versus|compare|comparison|alternatives?)\b"),
    (PageType.LISTICLE, r"\b(best|top-?\d+)\b"),
    (PageType.FAQ, r"\bfaqs?\b|frequently-asked"),
    (PageType.DOCS, r"\b(docs?|documentation|reference|api|manual|self-?host\w*|deployment)\b"),
    (PageType.ARTICLE, r"\b(blog|news|articles?|journal|posts?|stories)\b"),
    (PageType.GUIDE, r"\b(guides?|tutorials?|how-to|learn|academy|getting-started)\b"),
    (PageType.PRODUCT, r"/(products?|features?|tours?|trips?|item)(/|$)"),
    (PageType.CATEGORY, r"/(shop|category|categories|collections?|store)(/|$)"),
)
_BY_TITLE = (
    (PageType.COMPARISON, r"\b(vs\.?|versus|compared|comparison|alternatives?)\b"),
    (PageType.LISTICLE, r"^(the )?(\d+ |best |top )"),
    (PageType.PRICING, r"\b(pricing|price list|plans and prices)\b"),
    (PageType.GUIDE, r"\b(how to|guide|tutorial|checklist|explained|what is)\b"),
    (PageType.FAQ, r"\b(faq|frequently asked|questions and answers)\b"),
)


def page_type(page: Page) -> PageType:
    """Structured data first, then the title, then the address."""
    types = json_ld_types(page.json_ld)
    named = type_of_result(page.url, page.title or "")
    if named in {PageType.HOME, PageType.COMPARISON, PageType.LISTICLE, PageType.PRICING}:
        return named
    for kind, names in _BY_SCHEMA:
        if types & names:
            return kind
    return named


def page_types(pages: Sequence[Page]) -> dict[str, PageType]:
    """Every page's type by address; what shows none on a documentation site is documentation."""
    docs = {
        site_of(page.url)
        for page in pages
        if re.search(r"\b(documentation|docs)\b", (page.title or "").lower())
        and page_type(page) is PageType.HOME
    }
    types = {page.url: page_type(page) for page in pages}
    return {
        url: PageType.DOCS if kind is PageType.OTHER and site_of(url) in docs else kind
        for url, kind in types.items()
    }


def type_of_result(url: str, title: str) -> PageType:
    """The type as far as an address and a title show it."""
    parts = urlsplit(url)
    if parts.path.rstrip("/") in {"", "/index.html"} and not parts.query:
        return PageType.HOME
    by_host = _first(_BY_ADDRESS[:2], parts.netloc)
    words = parts.path.lower().replace("_", "-")
    found = by_host or _first(_BY_TITLE, title.lower()) or _first(_BY_ADDRESS, words)
    return found or PageType.OTHER


def _first(rules: tuple[tuple[PageType, str], ...], text: str) -> PageType | None:
    return next((kind for kind, pattern in rules if re.search(pattern, text)), None)

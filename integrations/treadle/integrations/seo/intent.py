"""`seo.intent`: what people want who type a keyword, by votes that are shown."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum

from treadle.integrations.base import Effect, Params, Result, ToolContext, tool
from treadle.integrations.seo.brands import find_brands
from treadle.integrations.seo.evidence import PageIndex, spellings
from treadle.integrations.seo.lexicon import IMPERATIVES, NOUN_VERBS
from treadle.integrations.seo.page_types import PageType, page_types, type_of_result
from treadle.integrations.seo.pages import Page, Zone, plain, read_pages
from treadle.integrations.seo.serps import Hit, Serp, hits_by_keyword
from treadle.integrations.seo.words import words_of


class Intent(StrEnum):
    """The four classes of the trade."""

    INFORMATIONAL = "informational"
    COMMERCIAL = "commercial"
    TRANSACTIONAL = "transactional"
    NAVIGATIONAL = "navigational"


FUNNEL: Mapping[Intent, str] = {
    Intent.INFORMATIONAL: "awareness",
    Intent.COMMERCIAL: "consideration",
    Intent.TRANSACTIONAL: "decision",
    Intent.NAVIGATIONAL: "decision",
}

_RULES: tuple[tuple[Intent, float, str], ...] = (
    (
        Intent.INFORMATIONAL,
        4.0,
        r"^(how|what|why|when|where|who|which|can|does|do|is|are|should|was ist|wie|warum|wann)\b",
    ),
    (
        Intent.INFORMATIONAL,
        3.0,
        r"\b(guides?|tutorial|examples?|meaning|definition|tips|ideas|checklist|learn|explained|basics"
        r"|course|difference|troubleshooting|error|not working|documentation|docs|benefits"
        r"|template|templates|anleitung|beispiele?|bedeutung)\b",
    ),
    (
        Intent.COMMERCIAL,
        4.0,
        r"\b(best|top|vs|versus|comparison|compare|compared|alternatives?|reviews|ratings?"
        r"|recommended|cheapest|vergleich|beste[rsn]?)\b|\btest$",
    ),
    (Intent.INFORMATIONAL, 5.0, r"\b(questions|faqs?|packing list|stages)\b"),
    (
        Intent.COMMERCIAL,
        2.0,
        r"\b(software|tools|platforms?|solutions?|providers?|services?|agency|apps?)( for .+)?$"
        r"|\b(open source|self-hosted) |\b(costs?|kosten)$|\breview$"
        r"|\bfor (small business(es)?|startups|home|families|beginners)$",
    ),
    (
        Intent.TRANSACTIONAL,
        4.0,
        r"\b(buy|price|prices|pricing|coupon|discount|for sale|shop|book|booking|reserve|hire|rent"
        r"|rental|subscribe|free trial|near me|get a quote|delivery|kaufen|preise?|buchen"
        r"|bestellen)\b"
        r"|^order |\bquote$|\bdeals (for|on)\b|^(?!open|won|lost|close).*\bdeals$",
    ),
    (
        Intent.TRANSACTIONAL,
        2.5,
        r"^(download|free|cheap|kostenlos) | (demo|kostenlos)$|\bsign ?up\b",
    ),
    (
        Intent.COMMERCIAL,
        1.5,
        r"\b(machines?|grinders?|shoes|boots|jackets?|bikes?|laptops?|phones?|cameras?|headphones"
        r"|printers?|ovens?|kettles?|mattress(es)?|tours?|treks?|cruises?|holidays|hotels?|flights?"
        r"|crms?|erp)$",
    ),
    (Intent.NAVIGATIONAL, 4.0, r"\b(login|log in|opening hours|customer service)\b"),
)
_HOW_TO_WEIGHT = 3.0
_BRAND_WEIGHT = 3.0
_PAGE_WEIGHT = 2.0  # all page votes together, so that many pages do not shout a rule down
_SERP_WEIGHT = 4.0  # what a search engine shows outweighs what one site's own pages are
_PRIOR = 0.5  # somebody who shows nothing else wants to know something

PAGE_VOTES: Mapping[PageType, Intent] = {
    PageType.PRODUCT: Intent.TRANSACTIONAL,
    PageType.PRICING: Intent.TRANSACTIONAL,
    PageType.CATEGORY: Intent.COMMERCIAL,
    PageType.COMPARISON: Intent.COMMERCIAL,
    PageType.LISTICLE: Intent.COMMERCIAL,
    PageType.ARTICLE: Intent.INFORMATIONAL,
    PageType.GUIDE: Intent.INFORMATIONAL,
    PageType.DOCS: Intent.INFORMATIONAL,
    PageType.FAQ: Intent.INFORMATIONAL,
    PageType.FORUM: Intent.INFORMATIONAL,
    PageType.VIDEO: Intent.INFORMATIONAL,
}


class IntentParams(Params):
    """Keywords, and what votes on them: pages of `web.fetch`, results of `web.search`."""

    keywords: tuple[str, ...]
    pages: tuple[Page | None, ...] = ()
    serps: tuple[Serp | None, ...] | None = None


class KeywordIntent(Result):
    """An intent, how sure (0 to 1), and every vote: `commercial +4 best`."""

    keyword: str
    intent: Intent
    confidence: float
    funnel_stage: str
    evidence: list[str]


class Intents(Result):
    """One entry per keyword, in their order."""

    keywords: list[KeywordIntent]


@tool("seo.intent", effect=Effect.READ, is_quick=True)
def classify_intents(ctx: ToolContext, params: IntentParams) -> Intents:
    """Tell informational, commercial, transactional and navigational keywords apart."""
    pages = read_pages(params.pages)
    types = page_types(pages)
    index = PageIndex({page.url: {Zone.TITLE: main_labels(page)} for page in pages})
    hits = hits_by_keyword(params.serps)
    brands = sorted(set(find_brands(pages).values()))
    return Intents(
        keywords=[
            intent_of(
                keyword,
                brands=brands,
                pages=[types[url] for url in targets(keyword, index)],
                hits=hits.get(keyword, []),
            )
            for keyword in params.keywords
        ]
    )


def main_labels(page: Page) -> list[str]:
    """The title and the headings of level 1: what a page wants to be found for."""
    return [plain(page.title or ""), *(plain(h.text) for h in page.headings if h.level == 1)]


def targets(keyword: str, index: PageIndex) -> list[str]:
    """The pages that have a keyword in their main labels."""
    return sorted({row.url for row in index.count(spellings(keyword))})


def intent_of(
    keyword: str,
    *,
    brands: Sequence[str] = (),
    pages: Sequence[PageType] = (),
    hits: Sequence[Hit] = (),
) -> KeywordIntent:
    """Add up the votes of wording, brands, page types and search results."""
    votes: dict[Intent, float] = {Intent.INFORMATIONAL: _PRIOR}
    reasons: list[str] = []
    for intent, weight, why in _votes(keyword, brands, pages, hits):
        votes[intent] = votes.get(intent, 0.0) + weight
        reasons.append(f"{intent} +{weight:g} {why}")
    intent, weight = max(votes.items(), key=lambda row: row[1])
    total = sum(votes.values())
    # Few votes are little to go by even when they agree: four points make a sure case.
    confidence = weight / total * min(1.0, 0.4 + 0.6 * total / 4.0)
    return KeywordIntent(
        keyword=keyword,
        intent=intent,
        confidence=round(confidence, 2),
        funnel_stage=FUNNEL[intent],
        evidence=reasons or ["no vote: taken as a question for knowledge"],
    )


Vote = tuple[Intent, float, str]


def _votes(
    keyword: str, brands: Sequence[str], pages: Sequence[PageType], hits: Sequence[Hit]
) -> list[Vote]:
    votes = [
        (intent, weight, f"wording {match.group()!r}")
        for intent, weight, pattern in _RULES
        if (match := re.search(pattern, keyword))
    ]
    words = words_of(keyword)
    if len(words) > 1 and _opens_as_how_to(words[0]):
        votes.append((Intent.INFORMATIONAL, _HOW_TO_WEIGHT, f"how-to {words[0]!r}"))
    votes += _brand_votes(keyword, brands)
    votes += _type_votes(pages, _PAGE_WEIGHT, "page")
    results = [type_of_result(hit.url, hit.title or "") for hit in hits]
    return votes + _type_votes(results, _SERP_WEIGHT, "search result")


def _opens_as_how_to(word: str) -> bool:
    stems = {word, word.removesuffix("ing"), word.removesuffix("ing") + "e", word[:-4]}
    if word in NOUN_VERBS:
        return word == "use"
    return word in IMPERATIVES or (word.endswith("ing") and bool(stems & IMPERATIVES))


def _brand_votes(keyword: str, brands: Sequence[str]) -> list[Vote]:
    """A brand alone, or with one word that is no modifier, asks for that site."""
    padded = f" {keyword} "
    for brand in brands:
        if f" {brand} " in padded:
            weight = _BRAND_WEIGHT if keyword == brand else _BRAND_WEIGHT / 3
            return [(Intent.NAVIGATIONAL, weight, f"brand {brand!r}")]
    return []


def _type_votes(types: Sequence[PageType], weight: float, source: str) -> list[Vote]:
    counted = Counter(types)
    voting = {kind: n for kind, n in counted.items() if kind in PAGE_VOTES}
    total = sum(voting.values())
    return [
        (
            PAGE_VOTES[kind],
            round(weight * n / total, 2),
            f"{n} {source}{'s' * (n > 1)} of type {kind}",
        )
        for kind, n in sorted(voting.items())
    ]

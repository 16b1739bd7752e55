"""`seo.score`: the keyword table. Every score shows its parts; what is not known stays null."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from treadle.integrations.base import Effect, Params, Result, ToolContext, tool
from treadle.integrations.seo.advice import recommended_page, titled, working_title
from treadle.integrations.seo.chrome import content_lines
from treadle.integrations.seo.difficulty import MIN_HITS, difficulty_of
from treadle.integrations.seo.evidence import Evidence, PageIndex, spellings, strongest
from treadle.integrations.seo.fit import PageAffinity
from treadle.integrations.seo.intent import FUNNEL, Intent, intent_of, main_labels
from treadle.integrations.seo.normalize import clean
from treadle.integrations.seo.page_types import PageType, type_of_result
from treadle.integrations.seo.pages import (
    WEIGHTS,
    Page,
    Record,
    Zone,
    read_pages,
    site_of,
)
from treadle.integrations.seo.rows import OpportunityParts, Row
from treadle.integrations.seo.serps import Hit, Serp, hits_by_keyword
from treadle.integrations.seo.words import content_key, phrase_pattern

INTENT_VALUE: Mapping[Intent, float] = {
    Intent.TRANSACTIONAL: 1.0,
    Intent.COMMERCIAL: 0.8,
    Intent.INFORMATIONAL: 0.6,
    Intent.NAVIGATIONAL: 0.2,
}
FORMULA = (
    "100 x value x fit x (1 - difficulty); value = 0.35 intent value + 0.65 demand; "
    "fit = 0.2 + 0.8 closeness to the seeds"
)
TARGET_SHARE = 0.4  # of a title's words: "CRM" in six titles does not make six pages about CRM
_NO_PROVIDER = "no provider or upload of search figures is configured"
_NO_SEARCH = f"fewer than {MIN_HITS} search results are known for it"


class ScoredIntent(Record):
    """An entry of `seo.intent`."""

    keyword: str
    intent: Intent
    confidence: float
    funnel_stage: str
    evidence: tuple[str, ...] = ()


class KnownCluster(Record):
    """A cluster of `seo.cluster`."""

    id: str
    head: str
    keywords: tuple[str, ...]


class Metric(Record):
    """Search figures that someone brought (Search Console, Keyword Planner), and from where."""

    keyword: str
    source: str
    volume: int | None = None
    cpc: float | None = None
    trend: JsonValue = None


class ScoreParams(Params):
    """Keywords and what earlier nodes found out about them; all but the keywords may be missing.

    `own_site` is your host or any address on it; `sources` comes from `seo.suggest`,
    `ideas` from a model: they are marked as such.
    """

    keywords: tuple[str, ...]
    seeds: tuple[str, ...] = ()
    pages: tuple[Page | None, ...] = ()
    intents: tuple[ScoredIntent, ...] = ()
    clusters: tuple[KnownCluster, ...] = ()
    serps: tuple[Serp | None, ...] | None = None
    sources: Mapping[str, str] = {}
    ideas: tuple[str, ...] = ()
    metrics: tuple[Metric, ...] = ()
    own_site: str | None = None


class Scored(Result):
    """The rows, best first: known demand and difficulty, then known demand, then the rest."""

    rows: list[Row]
    formula: str


@tool("seo.score", effect=Effect.READ, cpu_heavy=True)
def score_keywords(ctx: ToolContext, params: ScoreParams) -> Scored:
    """Build the keyword table: figures, scores with their parts, advice and evidence per keyword.

    Search volume, cost per click and trend come only from `metrics`; difficulty only from search
    results. Without them they are null, with the reason in `unknown`.
    """
    return score(params)


def score(params: ScoreParams) -> Scored:
    """The same, for other tools."""
    known = _Known(params)
    uses = {keyword: known.index.count(spellings(keyword)) for keyword in params.keywords}
    most = max((_weight(rows) for rows in uses.values()), default=0.0)
    rows = [
        _row(number, keyword, uses[keyword], known, most=most)
        for number, keyword in enumerate(dict.fromkeys(params.keywords), start=1)
    ]
    searched = any(row.difficulty_proxy is not None for row in rows)
    rows.sort(key=lambda row: _order(row, searched=searched))
    return Scored(rows=rows, formula=FORMULA)


def _order(row: Row, *, searched: bool) -> tuple[bool, bool, bool, float, str]:
    """Best first; rows of unknown difficulty rank apart, and below them those of unknown demand."""
    apart = searched and row.difficulty_proxy is None
    unmeasured = row.basis == "idea"
    return row.opportunity is None, unmeasured, apart, -_rank(row.opportunity_parts), row.keyword


class _Known:
    """Everything about all keywords, by keyword."""

    def __init__(self, params: ScoreParams) -> None:
        self.pages = read_pages(params.pages)
        self.lines = content_lines(self.pages)
        self.index = PageIndex(self.lines)
        self.affinity = PageAffinity(params.seeds, self.lines)
        self.intents = {row.keyword: row for row in params.intents}
        self.clusters = {word: cluster for cluster in params.clusters for word in cluster.keywords}
        self.hits = hits_by_keyword(params.serps)
        self.sources = dict.fromkeys(map(clean, params.ideas), "idea of a model") | dict(
            params.sources
        )
        self.metrics = {metric.keyword: metric for metric in params.metrics}
        self.own = _host(params.own_site) if params.own_site else None
        self.seeds = params.seeds
        self.sites = len({site_of(page.url) for page in self.pages})

    def intent(self, keyword: str) -> ScoredIntent:
        """As told, or by wording alone."""
        if keyword in self.intents:
            return self.intents[keyword]
        made = intent_of(keyword, hits=self.hits.get(keyword, []))
        return ScoredIntent(
            keyword=keyword,
            intent=made.intent,
            confidence=made.confidence,
            funnel_stage=FUNNEL[made.intent],
            evidence=tuple(made.evidence),
        )

    def own_targets(self, keyword: str) -> list[str]:
        """Own pages made for a keyword: it is a good part of their title or main heading."""
        pattern = phrase_pattern(keyword)
        size = len(content_key(keyword))
        return [
            page.url
            for page in self.pages
            if site_of(page.url) == self.own
            and any(
                pattern.search(label) and size >= TARGET_SHARE * len(content_key(label))
                for label in (*self.lines[page.url][Zone.TITLE], *main_labels(page)[1:])
            )
        ]


@dataclass(slots=True)
class _Search:
    """What search results say about a keyword."""

    hits: Sequence[Hit]
    own: str | None
    unknown: dict[str, str] = field(default_factory=dict[str, str])

    def position(self) -> int | None:
        if self.own is None:
            self.unknown["your_position"] = "your site was not named"
        elif not self.hits:
            self.unknown["your_position"] = "no search results are known"
        else:
            for number, hit in enumerate(self.hits, start=1):
                if site_of(hit.url) == self.own:
                    return hit.rank or number
            self.unknown["your_position"] = f"not among the first {len(self.hits)} results"
        return None


def _row(number: int, keyword: str, uses: list[Evidence], known: _Known, *, most: float) -> Row:
    """Put one row together; the parts say why what is missing is missing."""
    intent = known.intent(keyword)
    hits = known.hits.get(keyword, [])
    search = _Search(hits, known.own)
    difficulty = difficulty_of(keyword, hits)
    metric = known.metrics.get(keyword)
    demand = _demand(uses, metric, most=most)
    urls = sorted({row.url for row in uses})
    closeness = known.affinity.fit(content_key(keyword), urls)
    parts = _parts(intent.intent, demand, closeness, difficulty.value if difficulty else None)
    cluster = known.clusters.get(keyword)
    page = recommended_page(keyword, intent.intent, intent.confidence)
    targets = known.own_targets(keyword) if known.own else []
    zones: Counter[Zone] = Counter()
    for row in uses:
        zones[row.zone] += row.count
    return Row(
        keyword=keyword,
        cluster=cluster.id if cluster else f"k{number}",
        cluster_head=cluster.head if cluster else keyword,
        is_head=cluster is None or cluster.head == keyword,
        intent=intent.intent,
        intent_confidence=intent.confidence,
        intent_evidence=list(intent.evidence),
        funnel_stage=intent.funnel_stage,
        volume=metric.volume if metric else None,
        cpc=metric.cpc if metric else None,
        trend=metric.trend if metric else None,
        demand_proxy=demand,
        demand_source=_demand_source(metric, demand, known),
        difficulty_proxy=difficulty.value if difficulty else None,
        difficulty_parts=difficulty,
        serp_features=None,
        dominant_page_type=_dominant(hits),
        top_urls=[hit.url for hit in hits[:3]] if hits else None,
        your_url=targets[0] if targets else _own_url(uses, known.own),
        your_position=search.position(),
        target_pages=targets,
        competitors=_competitors(uses, hits, known.own),
        basis="measured" if uses or hits or metric else "idea",
        opportunity=_opportunity(parts),
        opportunity_parts=parts,
        formula=FORMULA,
        confidence=_confidence(intent.confidence, metric, bool(hits), urls),
        recommended_page_type=page,
        working_title=working_title(keyword, page),
        parent_page=_parent(keyword, cluster, known.seeds),
        source=known.sources.get(keyword, "pages read" if uses else "given"),
        count=zones.total(),
        pages=len(urls),
        zones={zone: zones[zone] for zone in Zone if zones[zone]},
        evidence_id=f"e{number}",
        evidence=strongest(uses),
        unknown=_unknown(
            parts,
            metric,
            searched=len(hits),
            has_own=known.own is not None,
            is_used=bool(uses),
        )
        | search.unknown,
    )


def _weight(uses: Sequence[Evidence]) -> float:
    return sum(WEIGHTS[row.zone] * row.count for row in uses)


def _demand(uses: Sequence[Evidence], metric: Metric | None, *, most: float) -> float | None:
    """Known volume on a log scale (100,000 a month is 1), else the use in the pages read."""
    if metric and metric.volume is not None:
        return round(min(1.0, math.log10(1 + metric.volume) / 5), 3)
    if not uses:
        return None
    return round(math.log1p(_weight(uses)) / math.log1p(most), 3)


def _demand_source(metric: Metric | None, demand: float | None, known: _Known) -> str | None:
    if metric and metric.volume is not None:
        return f"volume of {metric.source}"
    if demand is None:
        return None
    return f"zone-weighted use in {len(known.pages)} pages of {known.sites} sites"


def _parts(
    intent: Intent, demand: float | None, closeness: float | None, difficulty: float | None
) -> OpportunityParts:
    worth = INTENT_VALUE[intent]
    value = worth if demand is None else 0.35 * worth + 0.65 * demand
    return OpportunityParts(
        intent_value=worth,
        demand=demand,
        value=round(value, 3),
        fit=None if closeness is None else round(0.2 + 0.8 * closeness, 3),
        difficulty=difficulty,
    )


def _opportunity(parts: OpportunityParts) -> float | None:
    """The formula; that nobody is known to ask for it is no reason to rank it."""
    if parts.demand is None:
        return None
    return _rank(parts)


def _rank(parts: OpportunityParts) -> float:
    """An unknown factor is left out, which `confidence` shows."""
    fit = 1.0 if parts.fit is None else parts.fit
    ease = 1.0 if parts.difficulty is None else 1.0 - parts.difficulty
    return round(100 * parts.value * fit * ease, 1)


def _confidence(intent: float, metric: Metric | None, searched: bool, urls: Sequence[str]) -> float:
    inputs = [metric is not None, searched, bool(urls), len(urls) > 1]
    return round(intent * (0.2 + 0.8 * sum(inputs) / len(inputs)), 2)


def _dominant(hits: Sequence[Hit]) -> PageType | None:
    types = Counter(type_of_result(hit.url, hit.title or "") for hit in hits)
    return types.most_common(1)[0][0] if types else None


def _own_url(uses: Sequence[Evidence], own: str | None) -> str | None:
    """The own page that says most about it outside link texts."""
    rows = [row for row in uses if site_of(row.url) == own and row.zone is not Zone.ANCHORS]
    return strongest(rows)[0].url if rows else None


def _competitors(uses: Sequence[Evidence], hits: Sequence[Hit], own: str | None) -> list[str]:
    named = {site_of(row.url) for row in uses if row.zone in {Zone.TITLE, Zone.HEADINGS}}
    return sorted((named | {site_of(hit.url) for hit in hits}) - {own})


def _parent(keyword: str, cluster: KnownCluster | None, seeds: Sequence[str]) -> str | None:
    """The page above: the cluster's head, and for a head the seed it shares most words with."""
    if cluster and cluster.head != keyword:
        return titled(cluster.head)
    words = content_key(keyword)
    shared = {seed: len(content_key(seed) & words) for seed in seeds if seed.lower() != keyword}
    best = max(shared, key=lambda seed: shared[seed], default=None)
    return titled(best.lower()) if best and shared[best] else None


def _unknown(
    parts: OpportunityParts, metric: Metric | None, *, searched: int, has_own: bool, is_used: bool
) -> dict[str, str]:
    """Why fields are null."""
    figures = {
        "volume": metric and metric.volume,
        "cpc": metric and metric.cpc,
        "trend": metric and metric.trend,
    }
    reasons = {name: _NO_PROVIDER for name, figure in figures.items() if figure is None}
    reasons["serp_features"] = "the search engine reports none"
    if parts.demand is None:
        reasons["demand_proxy"] = "on none of the pages read"
        reasons["opportunity"] = "its demand is not known: no volume, and on no page read"
    if parts.fit is None:
        reasons["fit"] = "no seeds were given"
    if parts.difficulty is None:
        reasons["difficulty_proxy"] = _NO_SEARCH
    if not searched:
        reasons |= dict.fromkeys(("top_urls", "dominant_page_type"), "no search results are known")
    if not has_own:
        reasons["your_url"] = "your site was not named"
    elif not is_used:
        reasons["your_url"] = "none of the pages read has it"
    return reasons


def _host(site: str) -> str:
    return site_of(site if "//" in site else f"//{site}")

"""A row of the keyword table: what is known, from where, and why the rest is not known."""

from pydantic import JsonValue

from treadle.integrations.base import Result
from treadle.integrations.seo.difficulty import Difficulty
from treadle.integrations.seo.evidence import Evidence
from treadle.integrations.seo.intent import Intent
from treadle.integrations.seo.page_types import PageType
from treadle.integrations.seo.pages import Zone


class OpportunityParts(Result):
    """The factors of an opportunity, each 0 to 1 or unknown."""

    intent_value: float
    demand: float | None
    value: float
    fit: float | None
    difficulty: float | None


class Row(Result):
    """One keyword. A field that is null has its reason in `unknown` under the field's name.

    Attributes:
        is_head: Whether its cluster is named after it.
        demand_proxy: Zone-weighted use in the pages read, 0 to 1; `demand_source` says how.
        pages: Pages read that have it.
        competitors: Other sites that have it in a title or heading, or that rank for it.
        basis: `measured` (volume, results or pages know it) or `idea` (nothing yet does); ideas
            rank after everything measured.
        opportunity: 0 to 100, `formula` says how, parts beside it; null where demand is unknown.
        confidence: Share of the inputs that were known, times the intent's confidence.
        target_pages: Own pages with it in the title or main heading; two are one too many.
        evidence: The strongest uses; each can be counted again.
    """

    keyword: str
    cluster: str
    cluster_head: str
    is_head: bool
    intent: Intent
    intent_confidence: float
    intent_evidence: list[str]
    funnel_stage: str
    volume: int | None
    cpc: float | None
    trend: JsonValue
    demand_proxy: float | None
    demand_source: str | None
    difficulty_proxy: float | None
    difficulty_parts: Difficulty | None
    serp_features: list[str] | None
    dominant_page_type: PageType | None
    top_urls: list[str] | None
    your_url: str | None
    your_position: int | None
    target_pages: list[str]
    competitors: list[str]
    basis: str
    opportunity: float | None
    opportunity_parts: OpportunityParts
    formula: str
    confidence: float
    recommended_page_type: PageType
    working_title: str
    parent_page: str | None
    source: str
    count: int
    pages: int
    zones: dict[Zone, int]
    evidence_id: str
    evidence: list[Evidence]
    unknown: dict[str, str]

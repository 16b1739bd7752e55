"""What a plan consists of."""

from enum import StrEnum

from pydantic import Field

from treadle.integrations.base import Result
from treadle.integrations.seo.evidence import Evidence
from treadle.integrations.seo.intent import Intent
from treadle.integrations.seo.page_types import PageType


class ItemKind(StrEnum):
    """Why an item is in the plan."""

    PILLAR = "pillar"
    PAGE = "page"
    QUICK_WIN = "quick_win"
    QUESTION = "question"
    CANNIBALISATION = "cannibalisation"
    EXCLUDED = "excluded"


class PlanItem(Result):
    """One entry of a plan; `evidence` can be counted again on the pages it names."""

    kind: ItemKind
    title: str
    keyword: str
    reason: str
    keywords: list[str] = Field(default_factory=list[str])
    intent: Intent | None = None
    page_type: PageType | None = None
    opportunity: float | None = None
    url: str | None = None
    evidence: list[Evidence] = Field(default_factory=list[Evidence])

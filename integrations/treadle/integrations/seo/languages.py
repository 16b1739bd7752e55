"""Patterns by which people ask about a topic, per language. Data and the choice of it.

`{}` is the seed. Neutral patterns fit any topic; the others only a kind of thing, told by the pages
or the seed itself, so that nobody is offered "espresso machine open source".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from treadle.integrations.seo.vocabulary import vocabulary


class Kind(StrEnum):
    """What a seed names."""

    SOFTWARE = "software"
    GOODS = "goods"
    TRAVEL = "travel"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Language:
    """One language's patterns; `how_to` is for seeds that begin with a verb.

    Attributes:
        has_articles: Whether its questions need English articles and verbs in number.
    """

    questions: Sequence[str]
    how_to: Sequence[str]
    modifiers: Sequence[str]
    by_kind: Mapping[Kind, Sequence[str]]
    versus: str
    alternatives: str
    has_articles: bool = False


ENGLISH = Language(
    questions=("what is {}", "how to choose {}", "how much does {} cost"),
    how_to=("how to {}", "{} step by step", "{} tutorial", "{} checklist"),
    modifiers=("best {}", "{} guide", "{} for beginners"),
    # A cap cuts the last ones: what a buyer types comes before what a reader does.
    by_kind={
        Kind.SOFTWARE: (
            "{} software",
            "{} tools",
            "{} pricing",
            "how does {} work",
            "{} examples",
            "{} for small business",
            "{} tutorial",
            "{} template",
            "{} comparison",
            "open source {}",
            "free {}",
            "self-hosted {}",
        ),
        Kind.GOODS: (
            "buy {}",
            "how does {} work",
            "{} buying guide",
            "{} price",
            "{} reviews",
            "{} for home",
            "{} maintenance",
            "{} repair",
            "cheap {}",
            "{} comparison",
        ),
        Kind.TRAVEL: (
            "guided {}",
            "book {}",
            "{} itinerary",
            "{} packing list",
            "best time for {}",
            "{} prices",
            "{} for families",
            "{} reviews",
        ),
        Kind.OTHER: (
            "how does {} work",
            "{} cost",
            "{} examples",
            "{} ideas",
            "{} checklist",
            "{} reviews",
            "{} comparison",
        ),
    },
    versus="{} vs {}",
    alternatives="{} alternatives",
    has_articles=True,
)

GERMAN = Language(
    questions=("was ist {}", "wie funktioniert {}", "was kostet {}"),
    how_to=("wie {}", "{} anleitung"),
    modifiers=("{} vergleich", "{} beispiele", "{} anleitung", "{} für anfänger", "{} checkliste"),
    by_kind={
        Kind.SOFTWARE: ("{} software", "{} tools", "{} preise", "{} open source", "{} kostenlos"),
        Kind.GOODS: ("{} kaufen", "{} preis", "{} test", "{} reparatur"),
        Kind.TRAVEL: ("{} buchen", "{} packliste", "{} mit kindern", "{} beste reisezeit"),
        Kind.OTHER: ("{} kosten", "{} erfahrungen"),
    },
    versus="{} vs {}",
    alternatives="{} alternativen",
)

_LANGUAGES = {"en": ENGLISH, "de": GERMAN}


def language_of(locale: str) -> Language | None:
    """The patterns of a locale's language (`en-US`, `de`), or `None` where we know none."""
    return _LANGUAGES.get(locale.replace("_", "-").split("-")[0].lower())


KIND_WORDS: Mapping[Kind, frozenset[str]] = {
    Kind.SOFTWARE: vocabulary(
        """
        software crm api app saas automation workflow chatbot agent llm database integration
        dashboard plugin sdk deployment server cloud rag pipeline analytics ai bot platform
        """
    ),
    Kind.GOODS: vocabulary(
        """
        machine grinder shop delivery shipping warranty basket cart stainless steel kg cm litre
        accessory equipment spare bean shoe jacket furniture product stock
        """
    ),
    Kind.TRAVEL: vocabulary(
        """
        tour hike hiking trek trekking trip travel hut trail itinerary guide summit holiday hotel
        departure luggage valley
        """
    ),
}
KIND_SCHEMA: Mapping[Kind, frozenset[str]] = {
    Kind.SOFTWARE: frozenset({"SoftwareApplication", "WebApplication", "APIReference"}),
    Kind.GOODS: frozenset({"Product", "OnlineStore", "Store", "OfferCatalog"}),
    Kind.TRAVEL: frozenset({"TouristTrip", "Trip", "TravelAgency", "TouristAttraction"}),
}

"""`seo.cluster`: keywords that one page can answer, by shared search results or by wording."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from statistics import fmean

from pydantic import Field

from treadle.integrations.base import Effect, Params, Result, ToolContext, tool
from treadle.integrations.seo.intent import Intent
from treadle.integrations.seo.lexicon import CONNECTORS, STOP
from treadle.integrations.seo.linkage import agglomerate, similarities
from treadle.integrations.seo.pages import Record
from treadle.integrations.seo.serps import TOP, Hit, Serp, hits_by_keyword
from treadle.integrations.seo.words import content_key, phrase_key

MIN_RESULTS = 8  # of ten; a shorter first page says more about the engine than about the keyword
MIN_SHARED = 3  # results in common; with fewer, 40 % of a short list is chance
WORDING_THRESHOLD = 0.42  # average cosine; tried on four documentation sites and three shops


_BUYING = frozenset({Intent.COMMERCIAL, Intent.TRANSACTIONAL})


class Method(StrEnum):
    """What put a cluster's keywords together."""

    SERP = "shared search results"
    WORDING = "wording (TF-IDF of character n-grams, average linkage)"
    SINGLE = "alone"


class KnownIntent(Record):
    """An entry of `seo.intent`."""

    keyword: str
    intent: Intent


class ClusterParams(Params):
    """Keywords in order of importance (a cluster's first is its head), and search results if known.

    With `intents`, wording joins only keywords that one page can serve: buyers' words and readers'
    words stay apart. `shared` is the share of the head's ten results that a keyword must have too.
    """

    keywords: tuple[str, ...]
    intents: tuple[KnownIntent, ...] = ()
    serps: tuple[Serp | None, ...] | None = None
    shared: float = Field(default=0.4, gt=0, le=1)


class Cluster(Result):
    """Keywords for one page.

    Attributes:
        cohesion: Mean overlap with the head (search results) or mean similarity of all pairs
            (wording), 0 to 1; null for a keyword alone.
    """

    id: str
    head: str
    keywords: list[str]
    method: Method
    cohesion: float | None


class Clusters(Result):
    """All clusters, that of the most important keyword first."""

    clusters: list[Cluster]


@tool("seo.cluster", effect=Effect.READ, cpu_heavy=True)
def cluster_keywords(ctx: ToolContext, params: ClusterParams) -> Clusters:
    """Group keywords that share search results; where none are known, those worded alike."""
    return Clusters(clusters=group_keywords(params))


def group_keywords(params: ClusterParams) -> list[Cluster]:
    """The clusters, for other tools."""
    keywords = list(dict.fromkeys(params.keywords))
    known = hits_by_keyword(params.serps)
    hits = {keyword: found for keyword, found in known.items() if len(found) >= MIN_RESULTS}
    groups = by_results([k for k in keywords if k in hits], hits, shared=params.shared)
    buying = {row.keyword for row in params.intents if row.intent in _BUYING}
    unknown = [keyword for keyword in keywords if keyword not in hits]
    groups += by_wording([k for k in unknown if k in buying])
    groups += by_wording([k for k in unknown if k not in buying])
    rank = {keyword: index for index, keyword in enumerate(keywords)}
    groups = [(headed(members), method, cohesion) for members, method, cohesion in groups]
    groups.sort(key=lambda group: min(rank[member] for member in group[0]))
    return [
        Cluster(
            id=f"c{number}",
            head=members[0],
            keywords=members,
            method=method if len(members) > 1 else Method.SINGLE,
            cohesion=round(cohesion, 2) if len(members) > 1 else None,
        )
        for number, (members, method, cohesion) in enumerate(groups, start=1)
    ]


Group = tuple[list[str], Method, float]


def by_results(
    keywords: Sequence[str], hits: Mapping[str, Sequence[Hit]], *, shared: float
) -> list[Group]:
    """Each keyword joins the first head with which it shares enough of the head's results."""
    urls = {keyword: {hit.url for hit in hits[keyword]} for keyword in keywords}
    free: list[str] = list(keywords)
    groups: list[Group] = []
    while free:
        head, rest = free[0], free[1:]
        overlap = {k: len(urls[head] & urls[k]) / min(TOP, len(urls[head])) for k in rest}
        members = [
            k for k in rest if overlap[k] >= shared and len(urls[head] & urls[k]) >= MIN_SHARED
        ]
        cohesion = fmean(overlap[k] for k in members) if members else 1.0
        groups.append(([head, *members], Method.SERP, cohesion))
        free = [k for k in rest if k not in set(members)]
    return groups


def by_wording(keywords: Sequence[str]) -> list[Group]:
    """Average-linkage clusters over the words that carry meaning."""
    matrix = similarities([_bare(keyword) for keyword in keywords])
    groups: list[Group] = []
    for indexes in agglomerate(matrix, threshold=WORDING_THRESHOLD):
        pairs = [matrix[i][j] for i in indexes for j in indexes if i < j]
        members = [keywords[i] for i in indexes]
        groups.append((members, Method.WORDING, fmean(pairs) if pairs else 1.0))
    return groups


def headed(members: Sequence[str]) -> list[str]:
    """Put first the most important keyword, or a shorter one that it only narrows down."""
    head = members[0]
    for member in members:
        if content_key(member) < content_key(head):
            head = member
    return [head, *(member for member in members if member != head)]


def _bare(keyword: str) -> str:
    words = [word for word in phrase_key(keyword) if word not in STOP | CONNECTORS]
    return " ".join(words) or keyword

"""`seo.cluster`: keywords that one page can answer, by shared search results or by wording."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from statistics import fmean

from pydantic import Field

from treadle.integrations.base import Effect, Params, Result, ToolContext, tool
from treadle.integrations.seo.intent import Intent
from treadle.integrations.seo.lexicon import ASKING, CONNECTORS, STOP
from treadle.integrations.seo.linkage import agglomerate, similarities
from treadle.integrations.seo.pages import Record
from treadle.integrations.seo.serps import TOP, Hit, Serp, hits_by_keyword
from treadle.integrations.seo.words import content_key, is_question, phrase_key

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
        worded: Members without search results of their own, which ask about the same thing as a
            member that has some.
        cohesion: Mean overlap with the head (search results) or mean similarity of all pairs
            (wording), 0 to 1; null where it rests on one keyword.
    """

    id: str
    head: str
    keywords: list[str]
    method: Method
    cohesion: float | None
    worded: list[str] = Field(default_factory=list[str])


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
    joined = same_topic(unknown, groups, buying)
    left = [keyword for keyword in unknown if keyword not in joined]
    groups += by_wording([k for k in left if k in buying])
    groups += by_wording([k for k in left if k not in buying])
    added = {
        keywords[0]: [k for k in unknown if joined.get(k) == keywords[0]] for keywords, *_ in groups
    }
    rank = {keyword: index for index, keyword in enumerate(keywords)}
    groups.sort(key=lambda group: min(rank[member] for member in group[0]))
    return [
        _cluster(f"c{number}", group, added[group[0][0]])
        for number, group in enumerate(groups, start=1)
    ]


Group = tuple[list[str], Method, float]


def _cluster(name: str, group: Group, added: Sequence[str]) -> Cluster:
    members, method, cohesion = group
    ordered = headed([*members, *added])
    measured = len(members) > 1
    if not measured:
        method = Method.WORDING if added else Method.SINGLE
    return Cluster(
        id=name,
        head=ordered[0],
        keywords=ordered,
        method=method,
        cohesion=round(cohesion, 2) if measured else None,
        worded=list(added),
    )


def same_topic(
    keywords: Sequence[str], groups: Sequence[Group], buying: Collection[str]
) -> dict[str, str]:
    """The group (by its first keyword) that already answers each keyword: same topic, same side."""
    answered = {
        (topic(member), member in buying): members[0]
        for members, *_ in reversed(groups)
        for member in reversed(members)
    }
    found = {keyword: answered.get((topic(keyword), keyword in buying)) for keyword in keywords}
    return {keyword: first for keyword, first in found.items() if first is not None}


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
    """Average-linkage clusters of topics; all keywords of one topic stay together."""
    topics: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for keyword in keywords:
        topics[topic(keyword)].append(keyword)
    matrix = similarities([" ".join(words) for words in topics])
    members = list(topics.values())
    groups: list[Group] = []
    for indexes in agglomerate(matrix, threshold=WORDING_THRESHOLD):
        spread = [index for index in indexes for _ in members[index]]
        pairs = [matrix[a][b] for n, a in enumerate(spread) for b in spread[:n]]
        together = [keyword for index in indexes for keyword in members[index]]
        groups.append((together, Method.WORDING, fmean(pairs) if pairs else 1.0))
    return groups


def headed(members: Sequence[str]) -> list[str]:
    """Put first the most important keyword, or a shorter one that it only narrows down.

    A question heads only questions: a page is made for its topic and answers it on the way.
    """
    plain = [member for member in members if not is_question(member)] or list(members)
    head = plain[0]
    for member in plain:
        if content_key(member) < content_key(head):
            head = member
    return [head, *(member for member in members if member != head)]


def topic(keyword: str) -> tuple[str, ...]:
    """What a keyword is about: its content words in order, without those that only ask for it."""
    words = [word for word in phrase_key(keyword) if word not in STOP | CONNECTORS]
    about = tuple(word for word in words if word not in ASKING)
    if is_question(keyword) and about[-1:] == ("work",):
        about = about[:-1]
    return about or tuple(words) or (keyword,)

"""`seo.plan`: a short plan from the keyword table: what to write first, and on what evidence."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from pydantic import JsonValue, TypeAdapter, ValidationError

from treadle.integrations.base import Effect, Params, Result, ToolContext, tool
from treadle.integrations.seo.cluster import ClusterParams, group_keywords
from treadle.integrations.seo.evidence import strongest
from treadle.integrations.seo.intent import Intent
from treadle.integrations.seo.page_types import PageType
from treadle.integrations.seo.pages import Record
from treadle.integrations.seo.plan_items import ItemKind, PlanItem
from treadle.integrations.seo.plan_text import render
from treadle.integrations.seo.rows import Row
from treadle.integrations.seo.score import KnownCluster, ScoreParams, score
from treadle.integrations.seo.serps import Serp
from treadle.integrations.seo.words import is_question

PILLARS, PAGES, QUICK_WINS, QUESTIONS, CONFLICTS, EXCLUDED = 5, 8, 5, 8, 5, 10
MIN_PILLAR = 3  # keywords that make a topic wide enough for a page with subpages
QUICK_POSITIONS = range(4, 21)  # near enough to the top that a better page may get there


class ExcludedTerm(Record):
    """An entry of `seo.terms`' `excluded`."""

    text: str
    reason: str


class UnreadPage(Record):
    """An entry of `seo.terms`' `unread`."""

    url: str
    reason: str


class PlanParams(Params):
    """Rows of `seo.score` (rows with only `keyword`, and `hits` if known, are scored first).

    `note` is what a reviewer asked for; it stands at the head of the plan. `notes` are lines about
    how the plan came about, such as that no model was there to help.
    """

    rows: tuple[Mapping[str, JsonValue], ...]
    note: str | None = None
    title: str = "Keyword plan"
    excluded: tuple[ExcludedTerm, ...] = ()
    unread: tuple[UnreadPage, ...] = ()
    notes: tuple[str, ...] = ()


class Plan(Result):
    """The plan as Markdown for people and as items for programs."""

    markdown: str
    items: list[PlanItem]


@tool("seo.plan", effect=Effect.READ, cpu_heavy=True)
def make_plan(ctx: ToolContext, params: PlanParams) -> Plan:
    """Pick pillars, pages to write, quick wins, questions and conflicts from a keyword table.

    Every item names the pages and counts it rests on. No text is invented: titles are the keyword
    in plain words, and what is not known is said to be unknown.
    """
    rows = _complete(params.rows)
    items = [
        *_pillars(rows),
        *_pages(rows),
        *_quick_wins(rows),
        *_questions(rows),
        *_conflicts(rows),
        *[
            PlanItem(kind=ItemKind.EXCLUDED, title=term.text, keyword=term.text, reason=term.reason)
            for term in params.excluded[:EXCLUDED]
        ],
    ]
    unread = [f"Not read: {page.url} ({page.reason})" for page in params.unread]
    markdown = render(params.title, rows, items, note=params.note, remarks=[*params.notes, *unread])
    return Plan(markdown=markdown, items=items)


def _complete(raw: Sequence[Mapping[str, JsonValue]]) -> list[Row]:
    """Rows as `seo.score` makes them; others are scored here from their keyword and hits."""
    try:
        return TypeAdapter(list[Row]).validate_python(raw)
    except ValidationError:
        serps = [
            Serp.model_validate({"keyword": row["keyword"], "hits": row.get("hits") or ()})
            for row in raw
            if isinstance(row.get("keyword"), str)
        ]
    keywords = tuple(serp.keyword for serp in serps)
    groups = group_keywords(ClusterParams(keywords=keywords, serps=tuple(serps)))
    clusters = tuple(
        KnownCluster(id=group.id, head=group.head, keywords=tuple(group.keywords))
        for group in groups
    )
    return score(ScoreParams(keywords=keywords, serps=tuple(serps), clusters=clusters)).rows


def _clusters(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows by cluster, the cluster with the best row first, its head first inside."""
    groups: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.cluster].append(row)
    return [sorted(group, key=lambda row: not row.is_head) for group in groups.values()]


def _pillars(rows: Sequence[Row]) -> list[PlanItem]:
    """The wide clusters with most opportunity in sum, if something measured backs them."""
    wide = [
        group
        for group in _clusters(rows)
        if len(group) >= MIN_PILLAR and any(row.basis == "measured" for row in group)
    ]
    wide.sort(key=lambda group: (-_points(group), group[0].keyword))
    return [
        _item(
            ItemKind.PILLAR,
            group,
            f"{len(group)} keywords, together {_points(group):.1f} points",
        )
        for group in wide[:PILLARS]
    ]


def _pages(rows: Sequence[Row]) -> list[PlanItem]:
    """One page per cluster that no own page is made for yet."""
    free = [
        group
        for group in _clusters(rows)
        if not any(row.target_pages for row in group)
        and group[0].intent is not Intent.NAVIGATIONAL
        and not is_question(group[0].keyword)
    ]
    free.sort(key=lambda group: (all(r.basis != "measured" for r in group), -_best(group)))
    return [_item(ItemKind.PAGE, group, _why_write(group)) for group in free[:PAGES]]


def _points(group: Sequence[Row]) -> float:
    return sum(row.opportunity or 0.0 for row in group)


def _best(group: Sequence[Row]) -> float:
    return max(row.opportunity or 0.0 for row in group)


def _why_write(group: Sequence[Row]) -> str:
    measured = [row for row in group if row.basis == "measured"]
    if not measured:
        return "an idea from a pattern: no page or search result backs it yet"
    best = max(measured, key=lambda row: row.opportunity or 0.0)
    if best.opportunity is None:
        return "a search knows it; how many ask for it is not known"
    uses = f"{best.keyword!r} stands {best.count}x on {best.pages} of the pages read"
    return f"{uses}; opportunity {best.opportunity:g}"


def _quick_wins(rows: Sequence[Row]) -> list[PlanItem]:
    wins: list[PlanItem] = []
    for row in rows:
        if row.your_position in QUICK_POSITIONS:
            reason = f"your page is at position {row.your_position}"
        elif is_question(row.keyword):
            continue  # it has a section of its own
        elif row.your_url and not row.target_pages and row.basis == "measured":
            reason = "you use it, but no page of yours is titled or headed mainly with it"
        else:
            continue
        wins.append(_item(ItemKind.QUICK_WIN, [row], reason, url=row.your_url))
    return wins[:QUICK_WINS]


def _questions(rows: Sequence[Row]) -> list[PlanItem]:
    asked = [row for row in rows if is_question(row.keyword)]
    return [
        _item(ItemKind.QUESTION, [row], f"from {row.source}", url=row.your_url)
        for row in asked[:QUESTIONS]
    ]


def _conflicts(rows: Sequence[Row]) -> list[PlanItem]:
    """Own pages that stand in each other's way."""
    return [
        _item(
            ItemKind.CANNIBALISATION,
            [row],
            f"{len(row.target_pages)} of your pages are made for it: "
            + ", ".join(row.target_pages),
        )
        for row in rows
        if len(row.target_pages) > 1
    ][:CONFLICTS]


def _item(kind: ItemKind, group: Sequence[Row], reason: str, *, url: str | None = None) -> PlanItem:
    head = group[0]
    page = PageType.GUIDE if kind is ItemKind.PILLAR else head.recommended_page_type
    return PlanItem(
        kind=kind,
        title=head.working_title,
        keyword=head.keyword,
        keywords=[row.keyword for row in group],
        intent=head.intent,
        page_type=page,
        opportunity=_best(group),
        reason=reason,
        url=url,
        evidence=strongest([use for row in group for use in row.evidence])[:4],
    )

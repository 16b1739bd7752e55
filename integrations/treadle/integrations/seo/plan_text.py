"""A plan as Markdown."""

from collections import Counter
from collections.abc import Sequence

from treadle.integrations.seo.evidence import Evidence
from treadle.integrations.seo.plan_items import ItemKind, PlanItem
from treadle.integrations.seo.rows import Row
from treadle.integrations.seo.score import FORMULA

_SECTIONS = (
    (ItemKind.PILLAR, "Pillars", "No group of keywords is wide enough for a pillar."),
    (ItemKind.PAGE, "Pages to write", "Every group of keywords has a page already."),
    (ItemKind.QUICK_WIN, "Quick wins", "None: they need your own site, or search results."),
    (ItemKind.QUESTION, "Questions to answer", "No questions were found."),
    (
        ItemKind.CANNIBALISATION,
        "Pages in each other's way",
        "None found among the pages read.",
    ),
    (ItemKind.EXCLUDED, "Left out", "Nothing was left out."),
)
_KEYWORDS_SHOWN = 8


def render(
    title: str,
    rows: Sequence[Row],
    items: Sequence[PlanItem],
    *,
    note: str | None,
    remarks: Sequence[str],
) -> str:
    """The whole text: summary, remarks, one section per kind, how the scores are made."""
    parts = [f"# {title}", _summary(rows)]
    if note:
        parts.append(f"Asked for in review: {note}")
    if remarks:
        parts.append("\n".join(f"- {line}" for line in remarks))
    for kind, heading, nothing in _SECTIONS:
        entries = [item for item in items if item.kind is kind]
        body = "\n".join(_entry(item) for item in entries) if entries else nothing
        parts.append(f"## {heading}\n\n{body}")
    parts.append(_method(rows))
    return "\n\n".join(parts) + "\n"


def _summary(rows: Sequence[Row]) -> str:
    if not rows:
        return "There are no keywords to plan with."
    intents = Counter(row.intent.value for row in rows)
    split = ", ".join(f"{count} {intent}" for intent, count in intents.most_common())
    measured = sum(row.basis == "measured" for row in rows)
    clusters = len({row.cluster for row in rows})
    return (
        f"{len(rows)} keywords in {clusters} clusters: {split}. "
        f"{measured} are backed by pages or search results, {len(rows) - measured} are ideas."
    )


def _entry(item: PlanItem) -> str:
    if item.kind is ItemKind.EXCLUDED:
        return f"- {item.title}: {item.reason}"
    facts = f"{item.intent}, {item.page_type}" if item.intent and item.page_type else ""
    lines = [f"- **{item.title}** ({facts}): {item.reason}"]
    others = [keyword for keyword in item.keywords if keyword != item.keyword]
    if others:
        more = f" and {len(others) - _KEYWORDS_SHOWN} more" if len(others) > _KEYWORDS_SHOWN else ""
        lines.append(f"  - with: {', '.join(others[:_KEYWORDS_SHOWN])}{more}")
    if item.url:
        lines.append(f"  - page: <{item.url}>")
    if item.evidence:
        lines.append(f"  - evidence: {'; '.join(_use(use) for use in item.evidence[:2])}")
    return "\n".join(lines)


def _use(use: Evidence) -> str:
    return f"“{use.text}” {use.count}x in {use.zone} of <{use.url}>"


def _method(rows: Sequence[Row]) -> str:
    unknown = Counter(reason for row in rows for reason in dict.fromkeys(row.unknown.values()))
    gaps = "\n".join(f"- {reason} ({count} keywords)" for reason, count in unknown.most_common(6))
    text = (
        f"## How to read the scores\n\nOpportunity = {FORMULA}. "
        "An unknown difficulty is left out; where demand is unknown there is no score."
    )
    return f"{text}\n\nNot known:\n\n{gaps}" if gaps else text

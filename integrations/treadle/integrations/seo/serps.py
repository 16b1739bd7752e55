"""Search results of a keyword, as `web.search` returned them."""

from collections.abc import Sequence

from treadle.integrations.seo.pages import Record

TOP = 10  # "the first page": what clustering and difficulty look at


class Hit(Record):
    """One result; rank counts from 1."""

    url: str
    title: str | None = None
    snippet: str | None = None
    rank: int | None = None


class Serp(Record):
    """The results for one keyword; `hits` null or empty means that none are known."""

    keyword: str
    hits: tuple[Hit, ...] | None = None


def hits_by_keyword(serps: Sequence[Serp | None] | None) -> dict[str, list[Hit]]:
    """The first ten results of each keyword that has any, in rank order."""
    known: dict[str, list[Hit]] = {}
    for serp in serps or ():
        if serp is not None and serp.hits:
            known[serp.keyword] = list(serp.hits)[:TOP]
    return known

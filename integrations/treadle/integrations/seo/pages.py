"""A fetched page as the SEO tools see it, and its zones.

The input is the output of `web.fetch`; fields the analysis does not use are ignored, and a page
that could not be fetched is an entry with `error` (or null) and costs nothing but itself.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class Record(BaseModel):
    """Something an earlier node made: unknown fields are ignored, so that it may grow."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Heading(Record):
    """A heading and its level, 1 to 6."""

    level: int = Field(ge=1, le=6)
    text: str


class Link(Record):
    """A link of a page and its visible words."""

    url: str
    text: str | None = None


class Page(Record):
    """What `web.fetch` returned, or why it returned nothing (`error`)."""

    url: str
    title: str | None = None
    text: str | None = None
    headings: tuple[Heading, ...] = ()
    links: tuple[Link, ...] = ()
    meta: Mapping[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    json_ld: JsonValue = None
    error: str | None = None


class Zone(StrEnum):
    """Where on a page words stand."""

    TITLE = "title"
    HEADINGS = "headings"
    DESCRIPTION = "description"
    BODY = "body"
    ANCHORS = "anchors"
    JSON_LD = "json_ld"


WEIGHTS: Mapping[Zone, float] = {
    Zone.TITLE: 5.0,
    Zone.HEADINGS: 3.0,
    Zone.DESCRIPTION: 3.0,
    Zone.JSON_LD: 2.0,
    Zone.ANCHORS: 1.5,
    Zone.BODY: 1.0,
}
"""What one use in a zone counts for: where authors say what a page is about weighs more."""

_JSON_LD_TEXT = ("name", "headline", "keywords", "articleSection", "alternateName")


def site_of(url: str) -> str:
    """The host (and port) a page belongs to."""
    return urlsplit(url).netloc.lower().removeprefix("www.")


def plain(text: str) -> str:
    """Unicode NFKC, straight apostrophes, single spaces."""
    text = unicodedata.normalize("NFKC", text).replace("\u2019", "'").replace("\u00ad", "")
    return " ".join(text.split())


def read_pages(pages: Sequence[Page | None] | None) -> list[Page]:
    """The pages that were really read, each address once, in order."""
    seen: dict[str, Page] = {}
    for page in pages or ():
        if page is not None and page.error is None and (page.title or page.text):
            seen.setdefault(page.url, page)
    return list(seen.values())


def zone_lines(page: Page) -> dict[Zone, list[str]]:
    """The lines of text of each zone of a page, normalised by `plain`.

    The main text repeats the title and the headings; the body is what stands there besides them,
    so that no use is counted twice.
    """
    description = page.meta.get("description")
    raw: dict[Zone, list[str]] = {
        Zone.TITLE: [page.title or ""],
        Zone.HEADINGS: [heading.text for heading in page.headings],
        Zone.DESCRIPTION: [description] if isinstance(description, str) else [],
        Zone.BODY: (page.text or "").splitlines(),
        Zone.ANCHORS: [link.text or "" for link in page.links],
        Zone.JSON_LD: list(_json_ld_lines(page.json_ld)),
    }
    zones = {zone: [line for line in map(plain, lines) if line] for zone, lines in raw.items()}
    labels = {line.lower() for line in (*zones[Zone.TITLE], *zones[Zone.HEADINGS])}
    zones[Zone.BODY] = [line for line in zones[Zone.BODY] if line.lower() not in labels]
    return zones


def json_ld_types(value: JsonValue) -> set[str]:
    """Every `@type` in a page's structured data."""
    if isinstance(value, list):
        return {name for part in value for name in json_ld_types(part)}
    if not isinstance(value, dict):
        return set()
    own = value.get("@type")
    names = own if isinstance(own, list) else [own]
    found = {name for name in names if isinstance(name, str)}
    return found.union(*(json_ld_types(part) for part in value.values()))


def _json_ld_lines(value: JsonValue) -> Iterator[str]:
    if isinstance(value, list):
        for part in value:
            yield from _json_ld_lines(part)
    elif isinstance(value, dict):
        for key, part in value.items():
            if key in _JSON_LD_TEXT:
                yield from (line for line in _strings(part))
            elif isinstance(part, (dict, list)):
                yield from _json_ld_lines(part)


def _strings(value: JsonValue) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from (part for part in value if isinstance(part, str))

"""What a page says: main text, headings, links, metadata, structured data."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urldefrag, urljoin, urlsplit

import trafilatura
from lxml import etree
from lxml.html import HtmlElement, HTMLParser, document_fromstring
from pydantic import Field, JsonValue

from treadle.integrations.base import Result
from treadle.integrations.web.text import one_line, storable

MAX_LINKS = 2000
MAX_HEADINGS = 500
MAX_JSON_LD = 50
MAX_LABEL = 1000  # characters of a heading, a link's words or a property


class Heading(Result):
    """A heading, in document order."""

    level: int = Field(ge=1, le=6)
    text: str


class Link(Result):
    """A link to a page of the web."""

    url: str
    text: str
    rel: str = ""
    internal: bool = Field(description="Whether it leads to the same host (`www.` aside).")


class Meta(Result):
    """What a page says about itself in its head; absent is null."""

    description: str | None = None
    canonical: str | None = None
    robots: str | None = None
    lang: str | None = None
    author: str | None = None
    keywords: str | None = None
    og: dict[str, str] = Field(default_factory=dict[str, str], description="Open Graph properties.")


@dataclass(frozen=True, slots=True)
class Content:
    """Everything read from one page."""

    title: str | None
    text: str
    headings: list[Heading]
    links: list[Link]
    meta: Meta
    json_ld: list[JsonValue]


def read_page(html: str, url: str) -> Content:
    """Read a page; takes tens of milliseconds of CPU."""
    root = _parse(html)
    base = next((node.get("href") for node in root.iter("base") if node.get("href")), None)
    base_url = _join(url, base) if base else url
    return Content(
        title=_title(root),
        headings=_headings(root),
        links=_links(root, base_url or url, url),
        meta=_meta(root, base_url or url),
        json_ld=list(_json_ld(root)),
        text=_main_text(root, url),  # last: it prunes the tree
    )


def _parse(html: str) -> HtmlElement:
    """The tree. libxml2 bounds its depth to 256; what is deeper is left out."""
    parser = HTMLParser(encoding="utf-8", no_network=True, remove_pis=True)
    try:
        return document_fromstring(html.encode("utf-8"), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError):
        return document_fromstring("<html></html>")


def _main_text(root: HtmlElement, url: str) -> str:
    """The article without menus and footers; a page without one gives all its visible text."""
    text = trafilatura.extract(root, url=url, include_comments=False, include_tables=True)
    if text is None:
        for node in root.xpath("//script | //style | //noscript | //template"):
            node.drop_tree()
        text = "\n".join(line for part in root.itertext() if (line := one_line(str(part))))
    return storable(text)


def _title(root: HtmlElement) -> str | None:
    return next((text for node in root.iter("title") if (text := _words(node))), None)


def _headings(root: HtmlElement) -> list[Heading]:
    nodes = root.iter("h1", "h2", "h3", "h4", "h5", "h6")
    found = ((int(str(node.tag)[1]), _words(node)) for node in nodes)
    headings = [Heading(level=level, text=text) for level, text in found if text]
    return headings[:MAX_HEADINGS]


def _links(root: HtmlElement, base_url: str, url: str) -> list[Link]:
    own = _host(url)
    links: list[Link] = []
    for node in root.iter("a"):
        target = _join(base_url, node.get("href") or "")
        if target is not None and len(links) < MAX_LINKS:
            links.append(
                Link(
                    url=target,
                    text=_words(node),
                    rel=one_line(node.get("rel")),
                    internal=_host(target) == own,
                )
            )
    return links


def _meta(root: HtmlElement, base_url: str) -> Meta:
    named: dict[str, str] = {}
    og: dict[str, str] = {}
    for node in root.iter("meta"):
        name = (node.get("name") or node.get("property") or "").strip().lower()
        content = one_line(node.get("content"))[:MAX_LABEL]
        if name.startswith("og:") and content:
            og.setdefault(name.removeprefix("og:"), content)
        elif content:
            named.setdefault(name, content)
    html = next(root.iter("html"), root)
    return Meta(
        description=named.get("description"),
        canonical=_canonical(root, base_url),
        robots=named.get("robots"),
        lang=one_line(html.get("lang")) or None,
        author=named.get("author"),
        keywords=named.get("keywords"),
        og=og,
    )


def _canonical(root: HtmlElement, base_url: str) -> str | None:
    for node in root.iter("link"):
        if "canonical" in (node.get("rel") or "").lower().split():
            return _join(base_url, node.get("href") or "")
    return None


def _json_ld(root: HtmlElement) -> Iterator[JsonValue]:
    """Blocks of structured data; a block that is no JSON is left out."""
    nodes = [
        n for n in root.iter("script") if (n.get("type") or "").lower() == "application/ld+json"
    ]
    for node in nodes[:MAX_JSON_LD]:
        try:
            value: JsonValue = json.loads(storable(node.text or ""), parse_constant=_refuse)
        except (ValueError, RecursionError):
            continue
        yield value


def _refuse(constant: str) -> None:
    raise ValueError(constant)  # NaN and Infinity are no JSON


def _words(node: HtmlElement) -> str:
    return one_line(" ".join(str(part) for part in node.itertext()))[:MAX_LABEL]


def _join(base_url: str, href: str) -> str | None:
    """An absolute address of the web without its fragment, `None` for anything else."""
    href = storable(href.strip())
    if not href or href.startswith("#"):
        return None
    try:
        target = urldefrag(urljoin(base_url, href)).url
        parts = urlsplit(target)
    except ValueError:
        return None
    return target if parts.scheme in {"http", "https"} and parts.netloc else None


def _host(url: str) -> str:
    return urlsplit(url).netloc.lower().removeprefix("www.")

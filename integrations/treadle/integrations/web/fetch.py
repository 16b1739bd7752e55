"""`web.fetch`: one page, read for people and for analysis."""

import asyncio
import hashlib
from datetime import UTC, datetime
from typing import Literal

import httpx
from pydantic import Field, JsonValue

from treadle.integrations.base import DESTINATION, Effect, Params, Result, ToolContext, tool
from treadle.integrations.egress import Rules, final_url, parse_url
from treadle.integrations.web.page import Heading, Link, Meta, read_page
from treadle.integrations.web.robots import check_robots
from treadle.integrations.web.statuses import check_status
from treadle.integrations.web.text import decode

PAGES = ("text/html", "application/xhtml+xml")

_RULES = Rules(content_types=PAGES)
_HEADERS = {"Accept": "text/html,application/xhtml+xml;q=0.9"}


class FetchParams(Params):
    """Which page."""

    url: str = Field(
        description="Address of the page, http or https.",
        title="Address",
        json_schema_extra=DESTINATION,
    )
    robots: Literal["obey", "ignore"] = Field(
        default="obey",
        description="Whether robots.txt is obeyed; ignore only your own.",
    )


class Page(Result):
    """A page and everything read from it."""

    url: str = Field(description="The address asked for.")
    final_url: str = Field(description="The address that answered, after redirects.")
    status: int
    title: str | None
    text: str = Field(description="The main text, without menus and footers.")
    headings: list[Heading]
    links: list[Link]
    meta: Meta
    json_ld: list[JsonValue] = Field(description="Blocks of structured data, as they stand.")
    word_count: int = Field(description="Words of the main text.")
    fetched_at: datetime
    sha256: str = Field(description="Digest of the page as it arrived.")
    bytes: int = Field(description="Its size, decompressed.")


@tool("web.fetch", effect=Effect.READ)
async def fetch_page(ctx: ToolContext, params: FetchParams) -> Page:
    """Fetch a web page and read its main text, headings, links, metadata and structured data."""
    url = str(parse_url(params.url).copy_with(fragment=None))
    if params.robots == "obey":
        await check_robots(ctx.http, url)
    response = await ctx.http.get(url, extensions=_RULES.extensions(), headers=_HEADERS)
    check_status(response, url)
    answered = final_url(response)
    if params.robots == "obey" and answered != url:
        await check_robots(ctx.http, answered)
    return await asyncio.to_thread(_read, response, params.url, answered)


def _read(response: httpx.Response, url: str, answered: str) -> Page:
    html = decode(response.content, response.headers.get("content-type", ""))
    content = read_page(html, answered)
    return Page(
        url=url,
        final_url=answered,
        status=response.status_code,
        title=content.title,
        text=content.text,
        headings=content.headings,
        links=content.links,
        meta=content.meta,
        json_ld=content.json_ld,
        word_count=len(content.text.split()),
        fetched_at=datetime.now(UTC),
        sha256=hashlib.sha256(response.content).hexdigest(),
        bytes=len(response.content),
    )

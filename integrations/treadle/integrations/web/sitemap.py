"""`web.sitemap`: the pages a site lists in its sitemaps."""

import asyncio
import zlib
from collections import deque
from urllib.parse import urljoin

import httpx
from pydantic import Field

from treadle.integrations.base import DESTINATION, Effect, Params, Result, ToolContext, tool
from treadle.integrations.egress import Rules, parse_url
from treadle.integrations.errors import EgressDenied, ErrorClass, ToolError
from treadle.integrations.web.robots import robots_cache, site_of
from treadle.integrations.web.sitemap_file import MAX_BYTES, Entry, SitemapFile, read_sitemap_file
from treadle.integrations.web.statuses import check_status

MAX_FILES = 50

_RULES = Rules(max_bytes=MAX_BYTES, max_wire_bytes=MAX_BYTES, total_s=60.0)


class SitemapParams(Params):
    """Which site, or which sitemap."""

    url: str = Field(
        description="Any address of the site, or the address of one sitemap (.xml).",
        json_schema_extra=DESTINATION,
    )
    limit: int = Field(default=500, ge=1, le=50_000, description="How many addresses at most.")


class Listed(Result):
    """A page in a sitemap."""

    url: str
    lastmod: str | None = Field(description="When it last changed, as the site writes it.")


class Sitemap(Result):
    """What a site lists, in its order, each address once."""

    urls: list[Listed]
    sitemaps: list[str] = Field(description="The files that were read.")
    skipped: list[str] = Field(description="Files that could not be read, with the reason.")
    truncated: bool = Field(description="Whether there is more than the limits let through.")


@tool("web.sitemap", effect=Effect.READ)
async def read_sitemap(ctx: ToolContext, params: SitemapParams) -> Sitemap:
    """List the pages of a site from its sitemaps: robots.txt, indexes and gzip included."""
    url = str(parse_url(params.url))
    walk = _Walk(ctx.http, limit=params.limit)
    await walk.run(await _starts(ctx.http, url))
    if not walk.read:
        raise ToolError(
            f"{site_of(url)} has no sitemap that can be read: {'; '.join(walk.skipped)}",
            error_class=walk.worst or ErrorClass.INVALID_INPUT,
            code="no_sitemap",
        )
    return Sitemap(
        urls=[Listed(url=entry.url, lastmod=entry.lastmod) for entry in walk.urls.values()],
        sitemaps=walk.read,
        skipped=walk.skipped,
        truncated=walk.is_truncated,
    )


async def _starts(client: httpx.AsyncClient, url: str) -> list[str]:
    """The given sitemap; else those that robots.txt names; else the usual place."""
    path = httpx.URL(url).path.lower()
    if path.endswith((".xml", ".xml.gz", ".txt")):
        return [url]
    robots = await robots_cache(client).get(client, url)
    named = [urljoin(url, address) for address in robots.sitemaps]
    return list(dict.fromkeys(named)) or [f"{site_of(url)}/sitemap.xml"]


class _Walk:
    """Reads sitemaps and the sitemaps they name, breadth first, within bounds."""

    def __init__(self, client: httpx.AsyncClient, *, limit: int) -> None:
        self._client = client
        self._limit = limit
        self._seen: set[str] = set()
        self.urls: dict[str, Entry] = {}
        self.read: list[str] = []
        self.skipped: list[str] = []
        self.worst: ErrorClass | None = None
        self.is_truncated = False

    async def run(self, starts: list[str]) -> None:
        waiting = deque(starts)
        while waiting and not self._is_full(waiting[0]):
            address = waiting.popleft()
            if address in self._seen:
                continue
            self._seen.add(address)
            try:
                found = await _fetch(self._client, address)
            except ToolError as error:
                self._skip(address, error)
                continue
            self.read.append(address)
            self._take(found.urls)
            waiting.extend(entry.url for entry in found.sitemaps)

    def _is_full(self, following: str) -> bool:
        if len(self._seen) < MAX_FILES and len(self.urls) < self._limit:
            return False
        self.is_truncated = self.is_truncated or following not in self._seen
        return True

    def _take(self, entries: list[Entry]) -> None:
        for entry in entries:
            if entry.url not in self.urls and len(self.urls) >= self._limit:
                self.is_truncated = True
                return
            self.urls.setdefault(entry.url, entry)

    def _skip(self, address: str, error: ToolError) -> None:
        if isinstance(error, EgressDenied) and not self.read:
            raise error
        self.skipped.append(error.message if address in error.message else f"{address}: {error}")
        if self.worst is not ErrorClass.UPSTREAM:
            self.worst = error.error_class


async def _fetch(client: httpx.AsyncClient, address: str) -> SitemapFile:
    url = str(parse_url(address))
    response = await client.get(url, extensions=_RULES.extensions())
    check_status(response, url)
    try:
        return await asyncio.to_thread(read_sitemap_file, response.content, url)
    except (ValueError, zlib.error) as error:
        raise ToolError(
            f"{url} is no sitemap: {error}",
            error_class=ErrorClass.INVALID_INPUT,
            code="bad_sitemap",
        ) from error

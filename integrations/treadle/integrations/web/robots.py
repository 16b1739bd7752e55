"""robots.txt: read once per site, obeyed (RFC 9309)."""

import asyncio
import time
from dataclasses import dataclass
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import httpx
from protego import Protego

from treadle.integrations.egress import Rules
from treadle.integrations.egress.client import USER_AGENT
from treadle.integrations.errors import EgressDenied, ErrorClass, ToolError
from treadle.integrations.web.text import decode

PRODUCT = USER_AGENT.split("/", maxsplit=1)[0]
MAX_BYTES = 512_000  # RFC 9309 wants at least 500 KiB to be read
KEEP_S = 3600.0  # RFC 9309: no longer than a day
KEEP_FAILURE_S = 60.0
MAX_SITES = 2000

_RULES = Rules(max_bytes=MAX_BYTES, max_wire_bytes=MAX_BYTES, max_redirects=3)


@dataclass(frozen=True, slots=True)
class Robots:
    """What a site allows, and the sitemaps it names."""

    rules: Protego

    def allows(self, url: str) -> bool:
        """Whether we may fetch a URL of the site."""
        return self.rules.can_fetch(url, PRODUCT)

    @property
    def sitemaps(self) -> list[str]:
        """Absolute addresses, in order."""
        return list(self.rules.sitemaps)


class RobotsCache:
    """The rules of the sites one client has visited; many callers share one request."""

    def __init__(self) -> None:
        self._sites: dict[str, tuple[float, asyncio.Future[Robots]]] = {}

    async def get(self, client: httpx.AsyncClient, url: str) -> Robots:
        """The rules for a URL's site; raises `ToolError` where they cannot be known."""
        site = site_of(url)
        until, known = self._sites.get(site, (0.0, None))
        if known is not None and until > time.monotonic():
            return await asyncio.shield(known)
        return await self._read(client, site)

    async def _read(self, client: httpx.AsyncClient, site: str) -> Robots:
        if len(self._sites) >= MAX_SITES:
            self._sites.pop(next(iter(self._sites)))
        reading = asyncio.ensure_future(_read_robots(client, site))
        reading.add_done_callback(lambda done: self._settle(site, done))
        self._sites[site] = (time.monotonic() + KEEP_S, reading)
        return await asyncio.shield(reading)

    def _settle(self, site: str, done: asyncio.Future[Robots]) -> None:
        if done.cancelled():
            self._sites.pop(site, None)
        elif done.exception() is not None:
            self._sites[site] = (time.monotonic() + KEEP_FAILURE_S, done)


_CACHES: WeakKeyDictionary[httpx.AsyncClient, RobotsCache] = WeakKeyDictionary()


def robots_cache(client: httpx.AsyncClient) -> RobotsCache:
    """The cache that lives as long as a client: what one policy may not see, it does not know."""
    return _CACHES.setdefault(client, RobotsCache())


async def check_robots(client: httpx.AsyncClient, url: str) -> None:
    """Raise `ToolError` (denied, `robots_denied`) if the site does not want this page fetched."""
    robots = await robots_cache(client).get(client, url)
    if not robots.allows(url):
        raise ToolError(
            f"{site_of(url)}/robots.txt does not allow {PRODUCT} to fetch {urlsplit(url).path!r}; "
            "leave the page out, or set `robots: ignore` if the site is yours",
            error_class=ErrorClass.DENIED,
            code="robots_denied",
        )


def site_of(url: str) -> str:
    """Scheme, host and port: what a robots.txt speaks for."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


async def _read_robots(client: httpx.AsyncClient, site: str) -> Robots:
    try:
        status, text = await _fetch(client, f"{site}/robots.txt")
    except EgressDenied as error:
        if error.code == "too_many_redirects":  # RFC 9309 2.3.1.2: as if there were none
            return Robots(Protego.parse(""))
        raise
    except ToolError as error:
        raise _unknown(site, error.message) from error
    if status >= 500:
        raise _unknown(site, f"it answers with status {status}")
    return Robots(Protego.parse(text if status < 300 else ""))


async def _fetch(client: httpx.AsyncClient, url: str) -> tuple[int, str]:
    """Status and text; a file longer than the limit is read up to it."""
    content = bytearray()
    async with client.stream("GET", url, extensions=_RULES.extensions()) as response:
        try:
            async for piece in response.aiter_bytes():
                content += piece
        except ToolError as error:
            if error.code != "response_too_large":
                raise
        return response.status_code, decode(bytes(content), "charset=utf-8")


def _unknown(site: str, reason: str) -> ToolError:
    return ToolError(
        f"{site}/robots.txt cannot be read, so nothing may be fetched there for now: {reason}",
        error_class=ErrorClass.UPSTREAM,
        code="robots_unreachable",
    )

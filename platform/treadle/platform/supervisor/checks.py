"""Questions by which the supervisor knows that a child does its work."""

import asyncio
import time
from http import HTTPStatus
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from treadle.platform.db.rls import ENGINE_ROLE
from treadle.platform.embedded.program import IsReady

_TIMEOUT_S = 5.0
_HAS_TABLES = "SELECT to_regclass('workers')"
_REGISTERED = sql.SQL(
    "SELECT 1 FROM workers WHERE name = %s AND started_at > now() - make_interval(secs => %s)"
)


def answers_ok(url: str) -> IsReady:
    """Ask whether a GET is answered 200."""

    async def ask() -> bool:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                return await _status(url) == HTTPStatus.OK
        except (OSError, TimeoutError):
            return False

    return ask


def is_registered(database_url: str, worker: str) -> IsReady:
    """Ask whether a worker of this name has announced itself since now."""
    begun = time.monotonic()

    def ask() -> bool:
        elapsed_s = time.monotonic() - begun  # counted back on the database's own clock
        try:
            with psycopg.connect(database_url, connect_timeout=2) as link:
                if link.execute(_HAS_TABLES).fetchone() == (None,):
                    return False
                link.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(ENGINE_ROLE)))
                return link.execute(_REGISTERED, [worker, elapsed_s]).fetchone() is not None
        except psycopg.Error:  # not there for now
            return False

    return lambda: asyncio.to_thread(ask)


async def _status(url: str) -> int:
    """Return the status of a GET, read by hand: an HTTP client would be most of our memory."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
    try:
        request = f"GET {parts.path} HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n"
        writer.write(request.encode("ascii"))
        words = (await reader.readline()).split()
    finally:
        writer.close()
    return int(words[1]) if len(words) > 1 else 0

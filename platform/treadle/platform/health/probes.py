"""Whether something listens at a URL: a TCP connection, nothing is sent."""

import asyncio
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

_PORTS = {"redis": 6379, "rediss": 6379, "http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Probe:
    """Where to connect: a host and port, or a Unix socket."""

    host: str
    port: int
    socket: str | None

    @classmethod
    def of(cls, url: str) -> Self:
        """Read a URL; `unix://` and `redis+socket://` name a socket."""
        parts = urlsplit(url)
        is_socket = parts.scheme in {"unix", "redis+socket"}
        return cls(
            host=parts.hostname or "127.0.0.1",
            port=parts.port or _PORTS.get(parts.scheme, 80),
            socket=parts.path if is_socket else None,
        )


async def is_reachable(probe: Probe, *, timeout_s: float) -> bool:
    """Tell whether a connection can be made in time."""
    try:
        async with asyncio.timeout(timeout_s):
            if probe.socket is not None:
                _, writer = await asyncio.open_unix_connection(probe.socket)
            else:
                _, writer = await asyncio.open_connection(probe.host, probe.port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True

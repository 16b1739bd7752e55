"""Names to addresses. Tests give the guard a resolver of their own."""

import asyncio
import socket
from typing import Protocol

from typing_extensions import override


class Resolver(Protocol):
    """Answers once per connection; the guard checks and uses exactly this answer."""

    async def resolve(self, host: str, port: int) -> list[str]:
        """Return every address as a literal; raises `OSError` where there is none."""
        ...


class SystemResolver(Resolver):
    """What the operating system answers."""

    @override
    async def resolve(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        answers = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(answer[4][0]) for answer in answers))

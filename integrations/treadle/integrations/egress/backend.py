"""Connecting: resolve once, check all answers, connect to the literal, look at the peer again."""

import asyncio
from collections.abc import Iterable
from typing import Any

import httpcore
from typing_extensions import override

from treadle.integrations.egress.addresses import is_literal, parse_address
from treadle.integrations.egress.policy import Policy
from treadle.integrations.egress.resolver import Resolver
from treadle.integrations.errors import EgressDenied, ErrorClass, ToolError

MAX_ANSWERS = 16

SocketOption = (
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
)


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """The only place where a connection of a tool is opened."""

    def __init__(self, policy: Policy, resolver: Resolver) -> None:
        self._policy = policy
        self._resolver = resolver
        self._network: httpcore.AsyncNetworkBackend = httpcore.AnyIOBackend()  # pyright: ignore[reportAttributeAccessIssue] # it also sees the stand-in for a missing anyio

    @override
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        name = host.lower().removesuffix(".")
        self._policy.check_host(name, port)
        deadline = None if timeout is None else asyncio.get_running_loop().time() + timeout
        try:
            async with asyncio.timeout_at(deadline):
                addresses = await self._addresses(name, port)
                return await self._connect(name, port, addresses, deadline)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout from error

    @override
    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise EgressDenied("refused to open a unix socket", code="url_refused")

    @override
    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _addresses(self, host: str, port: int) -> list[str]:
        if is_literal(host):
            self._policy.check_address(host, port, host)
            return [str(parse_address(host))]
        try:
            addresses = await self._resolver.resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise _unknown_host(host) from error
        if not addresses:
            raise _unknown_host(host)
        if len(addresses) > MAX_ANSWERS:
            raise EgressDenied(
                f"refused to connect to {host!r}: its name has {len(addresses)} addresses, "
                f"more than {MAX_ANSWERS}",
                code="address_refused",
            )
        for address in addresses:
            self._policy.check_address(host, port, address)
        return [str(parse_address(address)) for address in addresses]

    async def _connect(
        self, host: str, port: int, addresses: list[str], deadline: float | None
    ) -> httpcore.AsyncNetworkStream:
        """Try the addresses in turn; each gets its share of the time that is left."""
        failure: httpcore.ConnectError | httpcore.ConnectTimeout = httpcore.ConnectError(host)
        for index, address in enumerate(addresses):
            share_s = _share(deadline, of=len(addresses) - index)
            try:
                stream = await self._network.connect_tcp(address, port, timeout=share_s)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
                continue
            await self._check_peer(host, port, address, stream)
            return stream
        raise failure

    async def _check_peer(
        self, host: str, port: int, address: str, stream: httpcore.AsyncNetworkStream
    ) -> None:
        peer: Any = stream.get_extra_info("server_addr")  # Any: a socket address of any family
        if not peer or str(peer[0]) != address:
            await stream.aclose()
            raise EgressDenied(
                f"refused to talk to {host!r}: another address answered than was checked",
                code="address_refused",
            )


def _share(deadline: float | None, *, of: int) -> float | None:
    if deadline is None:
        return None
    return max(0.05, (deadline - asyncio.get_running_loop().time()) / of)


def _unknown_host(host: str) -> ToolError:
    return ToolError(
        f"no address is known for {host!r}; check the spelling of the host",
        error_class=ErrorClass.UPSTREAM,
        code="unknown_host",
    )

"""A server, and a context that may reach it."""

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.doubles.network_context import NetworkContext
from tests.doubles.web_server import WebServer

from treadle.integrations.egress import Policy, build_client


@pytest.fixture
def site() -> Iterator[WebServer]:
    """A web site on loopback."""
    with WebServer() as server:
        yield server


@pytest.fixture
async def context() -> AsyncIterator[NetworkContext]:
    """Loopback is allowed, as with TREADLE_EGRESS_ALLOW=127.0.0.1/32."""
    async with build_client(Policy.parse("127.0.0.1/32")) as guard:
        yield NetworkContext(guard)

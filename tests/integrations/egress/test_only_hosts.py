"""Hosts that a template names: nothing else is reached, whatever an answer says."""

from collections.abc import AsyncIterator

import pytest
from tests.doubles.web_server import WebServer, html, redirect
from tests.integrations.egress.conftest import Names

from treadle.integrations.egress import GuardedClient, Policy, build_client, only_hosts
from treadle.integrations.errors import Delivery, EgressDenied


@pytest.fixture
async def client() -> AsyncIterator[GuardedClient]:
    local = ["127.0.0.1"]
    names = Names(shop_test=[local], www_shop_test=[local], evil_test=[local])
    async with build_client(Policy.parse("127.0.0.1/32"), resolver=names) as client:
        yield client


async def test_an_undeclared_host_is_refused_before_anything_is_sent(
    client: GuardedClient, web: WebServer
) -> None:
    limited = only_hosts(client, frozenset({"shop.test"}))
    with pytest.raises(EgressDenied, match=r"the template names shop\.test here") as caught:
        await limited.get(f"http://evil.test:{web.port}/")
    assert (caught.value.code, caught.value.delivery) == ("host_undeclared", Delivery.NOT_SENT)
    assert web.asked == []


async def test_a_redirect_to_an_undeclared_host_is_refused(
    client: GuardedClient, web: WebServer
) -> None:
    web.routes["/"] = redirect(f"http://evil.test:{web.port}/there")
    limited = only_hosts(client, frozenset({"shop.test"}))
    with pytest.raises(EgressDenied, match=r"evil\.test"):
        await limited.get(f"http://shop.test:{web.port}/")
    assert web.paths() == ["/"]


async def test_a_declared_host_and_its_www_are_reached(
    client: GuardedClient, web: WebServer
) -> None:
    web.routes["/"] = redirect(f"http://www.shop.test:{web.port}/there")
    web.routes["/there"] = html("here")
    limited = only_hosts(client, frozenset({"shop.test"}))
    assert (await limited.get(f"http://shop.test:{web.port}/")).text == "here"

"""Hosts that a template names are the only ones its call reaches."""

import httpx
import pytest
from tests.agents.interpreter.doubles import PlainContext, ScriptedModels
from typing_extensions import override

from treadle.agents.steps.hosts import LimitedContext, fixed_hosts, written_host
from treadle.agents.values import JsonValue
from treadle.integrations.egress import GuardedClient, Policy, build_client
from treadle.integrations.errors import EgressDenied
from treadle.integrations.registry import all_tools


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://api.example/v1/${{ inputs.id }}", "api.example"),
        ("https://API.example", "api.example"),
        ("https://api.example:8443/${% if x %}a${% endif %}", "api.example"),
        ("https://user@api.example/", "api.example"),
        ("https://api.example${{ inputs.rest }}", None),
        ("https://${{ inputs.host }}/v1", None),
        ("${{ inputs.url }}", None),
        ("https://[::1", None),
        (3, None),
    ],
)
def test_a_host_counts_as_written_when_nothing_can_follow_it(
    address: JsonValue, host: str | None
) -> None:
    assert written_host(address) == host


def test_only_tools_that_take_an_address_have_fixed_hosts() -> None:
    tools = all_tools()
    written: dict[str, JsonValue] = {"url": "https://api.example/"}
    assert fixed_hosts(tools["web.fetch"], written) == frozenset({"api.example"})
    assert fixed_hosts(tools["web.search"], {"query": "https://api.example/"}) is None
    assert fixed_hosts(tools["web.fetch"], {"url": "${{ inputs.url }}"}) is None


class _Guarded(PlainContext):
    client = build_client(Policy())

    @property
    @override
    def http(self) -> GuardedClient:
        return self.client


async def test_a_limited_context_gives_a_client_that_refuses_other_hosts() -> None:
    context = LimitedContext(_Guarded("key", ScriptedModels(), "a"), frozenset({"api.example"}))
    assert context.idempotency_key == "key"
    with pytest.raises(EgressDenied, match="the template names"):
        await context.http.get("https://evil.example/")
    assert isinstance(context.http, httpx.AsyncClient)

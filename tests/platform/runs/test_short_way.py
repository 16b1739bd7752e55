"""The short way and the route answer alike: the query, which means nothing, takes the route."""

import httpx
import pytest
from tests.platform.conftest import NewTenant, Tenant

from treadle.agents.values import JsonObject
from treadle.platform.auth.scopes import ALL_SCOPES, Scope
from treadle.platform.runs.short_way import ShortWay

pytestmark = pytest.mark.slow

TEMPLATE = """\
treadle: 1
name: short
version: 1.0.0
inputs:
  n: {type: integer}
nodes:
  a: {use: set, with: {n: "${{ inputs.n + 1 }}"}}
outputs: {n: "${{ a.n }}"}
"""
JSON = {"Content-Type": "application/json"}
OWN = {"id", "root_id", "created_at", "started_at", "finished_at", "request_id"}


@pytest.fixture
async def agent(tenant: Tenant) -> str:
    made = await tenant.client.post("/v1/agents", json={"name": "short", "template": TEMPLATE})
    assert made.status_code == 201, made.text
    return "short"


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The agents of all calls that were answered on the short way."""
    agents: list[str] = []
    start = ShortWay.start

    async def counted(self: ShortWay, *arguments: object) -> object:
        agents.append(str(arguments[2]))
        return await start(self, *arguments)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(ShortWay, "start", counted)
    return agents


def shown(answer: httpx.Response) -> tuple[int, dict[str, str], JsonObject]:
    """An answer without what no two have in common."""
    headers = {name: text for name, text in answer.headers.items() if name != "x-request-id"}
    headers.pop("content-length")
    body: JsonObject = answer.json()
    return answer.status_code, headers, {k: v for k, v in body.items() if k not in OWN}


@pytest.mark.parametrize(
    ("name", "body", "headers", "is_short"),
    [
        ("short", b'{"inputs": {"n": 1}}', JSON, True),
        ("short", b'{"inputs": {"n": 1}, "wait_s": 0}', JSON, True),
        ("short", b'{"inputs": {"n": 1}, "run_at": "2099-01-01T00:00:00Z"}', JSON, True),
        ("short", b'{"inputs": {"n": "one"}}', JSON, True),
        ("short", b"{}", JSON, True),
        ("nobody", b'{"inputs": {}}', JSON, True),
        ("short", b'{"inputs": {"n": 1}, "more": 2}', JSON, False),
        ("short", b'{"inputs": {"n": 1}, "wait_s": 61}', JSON, False),
        ("short", b'{"inputs": {"n": 1}, "run_at": "2099-01-01T00:00:00"}', JSON, False),
        ("short", b'{"inputs": {"n": 1, "n": 2}}', JSON, False),
        ("short", b'{"inputs": {"n": 1}', JSON, False),
        ("short", b"[]", JSON, False),
        ("short", b"", JSON, False),
        ("short", b"x" * 1_100_000, JSON, False),
        ("short", b'{"inputs": {"n": 1}}', {"Content-Type": "text/plain"}, False),
        ("short", b"{}", {**JSON, "Authorization": "Bearer trd_wrong"}, False),
        ("short", b"{}", {**JSON, "Authorization": "Basic eA=="}, False),
        ("sh%00rt", b"{}", JSON, False),
    ],
)
async def test_both_ways_say_the_same(
    agent: str,
    client: httpx.AsyncClient,
    taken: list[str],
    name: str,
    body: bytes,
    headers: dict[str, str],
    is_short: bool,
) -> None:
    url = f"/v1/agents/{name}/runs"
    direct = await client.post(url, content=body, headers=headers)
    assert len(taken) == is_short
    by_route = await client.post(f"{url}?x=1", content=body, headers=headers)
    assert len(taken) == is_short
    assert shown(direct) == shown(by_route)


async def test_a_key_without_the_scope_takes_the_route(
    agent: str, tenant: Tenant, new_tenant: NewTenant, taken: list[str]
) -> None:
    scopes = ALL_SCOPES - {Scope.RUNS_WRITE}
    other = await new_tenant(scopes=scopes, workspace=tenant.workspace)
    answer = await other.client.post(f"/v1/agents/{agent}/runs", json={"inputs": {"n": 1}})
    assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")
    assert not taken


async def test_a_repeated_call_is_the_route_s_to_answer(
    agent: str, client: httpx.AsyncClient, taken: list[str]
) -> None:
    headers = {"Idempotency-Key": "one"}
    ids = {
        (
            await client.post(
                f"/v1/agents/{agent}/runs", json={"inputs": {"n": 1}}, headers=headers
            )
        ).json()["id"]
        for _ in range(2)
    }
    assert len(ids) == 1
    assert not taken

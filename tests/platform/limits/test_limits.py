"""Limits as a workspace sets them; `engine/test_turns.py` shows that they hold."""

import httpx
import pytest
from tests.platform.conftest import NewTenant

pytestmark = pytest.mark.slow


async def test_limits_are_replaced_as_a_whole(new_tenant: NewTenant) -> None:
    client = (await new_tenant()).client
    assert (await client.get("/v1/limits")).json() == {"runs": None, "templates": {}}
    wanted = {"runs": 20, "templates": {"keyword-research": 2}}
    assert (await client.put("/v1/limits", json=wanted)).json() == wanted
    assert (await client.put("/v1/limits", json={"runs": 5})).json() == {
        "runs": 5,
        "templates": {},
    }
    assert (await client.get("/v1/limits")).json() == {"runs": 5, "templates": {}}
    other = (await new_tenant()).client
    assert (await other.get("/v1/limits")).json() == {"runs": None, "templates": {}}


@pytest.mark.parametrize(
    "body", [{"runs": 0}, {"runs": "many"}, {"templates": {"No Name": 1}}, {"speed": 3}]
)
async def test_what_is_no_limit_is_refused(new_tenant: NewTenant, body: dict[str, object]) -> None:
    client: httpx.AsyncClient = (await new_tenant()).client
    answer = await client.put("/v1/limits", json=body)
    assert answer.status_code == 422
    assert answer.json()["issues"]

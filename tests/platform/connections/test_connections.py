"""Connections: secrets go in and never come out."""

from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text
from tests.platform.conftest import NewTenant, Tenant

from treadle.platform.connections.service import open_connection
from treadle.platform.connections.vault import Vault
from treadle.platform.db.database import Database
from treadle.platform.installation import installation_secret
from treadle.platform.settings import Settings

pytestmark = pytest.mark.slow

SECRET = "tok-4f1d8c2e9b"
NEW = {"type": "http", "name": "crm", "auth": "bearer", "secret": SECRET, "hosts": ["API.crm.test"]}


async def test_a_connection_is_made_listed_shown_and_deleted(client: httpx.AsyncClient) -> None:
    made = await client.post("/v1/connections", json=NEW)
    assert made.status_code == 201
    shown = made.json()
    assert shown["hosts"] == ["api.crm.test"]
    assert (await client.get(f"/v1/connections/{shown['id']}")).json() == shown
    listed = await client.get("/v1/connections")
    assert listed.json() == {"items": [shown], "next": None}
    assert SECRET not in made.text + listed.text
    assert (await client.delete(f"/v1/connections/{shown['id']}")).status_code == 204
    gone = await client.get(f"/v1/connections/{shown['id']}")
    assert (gone.status_code, gone.json()["code"]) == (404, "connection_not_found")


async def test_the_engine_opens_a_connection(
    tenant: Tenant, database: Database, settings: Settings
) -> None:
    made = (await tenant.client.post("/v1/connections", json=NEW)).json()
    vault = Vault(installation_secret(settings))
    async with database.tenant(tenant.id) as tx:
        opened = await open_connection(tx, vault, tenant.id, UUID(made["id"]))
    assert opened.secret.get_secret_value() == SECRET
    assert opened.hosts == ("api.crm.test",)
    assert SECRET not in repr(opened)


async def test_the_database_holds_no_secret(tenant: Tenant, database: Database) -> None:
    await tenant.client.post("/v1/connections", json=NEW)
    async with database.engine.begin() as connection:  # as the owner, who sees everything
        secrets = (await connection.execute(text("SELECT * FROM connection_secrets"))).all()
        rows = (await connection.execute(text("SELECT * FROM connections"))).all()
    assert secrets
    assert SECRET not in f"{secrets}{rows}"


async def test_a_name_is_taken_once(client: httpx.AsyncClient) -> None:
    await client.post("/v1/connections", json=NEW)
    again = await client.post("/v1/connections", json=NEW)
    assert (again.status_code, again.json()["code"]) == (409, "connection_exists")


async def test_anothers_connection_is_404(client: httpx.AsyncClient, new_tenant: NewTenant) -> None:
    made = (await client.post("/v1/connections", json=NEW)).json()
    stranger = (await new_tenant()).client
    for answer in (
        await stranger.get(f"/v1/connections/{made['id']}"),
        await stranger.delete(f"/v1/connections/{made['id']}"),
        await stranger.get("/v1/connections/no-id"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "connection_not_found")
    assert (await stranger.get("/v1/connections")).json()["items"] == []


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        ({"type": "ftp"}, "type", "Input should be 'http'"),
        ({"hosts": []}, "hosts", "List should have at least 1 item after validation, not 0"),
        (
            {"hosts": ["https://api.crm.test/x"]},
            "hosts.0",
            "'https://api.crm.test/x' is neither a host nor *.host",
        ),
        ({"auth": "basic"}, "", "the secret of a basic authorisation is written user:password"),
        ({"header": "X-Key"}, "", "`header` goes with auth: header only"),
        (
            {"secret": "a\r\nb"},
            "",
            "the secret is empty or has characters that no header can carry",
        ),
        ({"secret": ""}, "secret", None),
        ({"hosts": ["*.com"]}, "hosts.0", None),
        ({"auth": "header", "header": "a b"}, "", "'a b' is not the name of a header"),
    ],
)
async def test_a_wrong_connection_is_422_and_never_echoes_the_secret(
    client: httpx.AsyncClient, change: dict[str, Any], path: str, message: str | None
) -> None:
    answer = await client.post("/v1/connections", json=NEW | change)
    assert answer.status_code == 422
    issue = answer.json()["issues"][0]
    assert issue["path"] == path
    assert message is None or issue["message"] == message
    assert SECRET not in answer.text

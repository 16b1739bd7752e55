"""No answer of the API holds a secret: neither a connection's nor another key."""

import re

import httpx
import pytest
from fastapi import FastAPI
from tests.platform.conftest import Tenant
from tests.platform.templates.texts import fetch

from treadle.platform.openapi import routes_of

pytestmark = pytest.mark.slow

SECRET = "canary-9f2c41d7"


async def test_no_get_shows_a_secret(app: FastAPI, tenant: Tenant) -> None:
    client = tenant.client
    body = {"type": "http", "name": "crm", "auth": "bearer", "secret": SECRET, "hosts": ["a.test"]}
    connection = (await client.post("/v1/connections", json=body)).json()["id"]
    other_key = (await client.post("/v1/keys", json={"name": "other"})).json()
    agent = {"name": "a", "template": fetch(), "connections": {"crm": connection}}
    assert (await client.post("/v1/agents", json=agent)).status_code == 201
    uploaded = await client.post("/v1/files", files={"file": ("x.txt", b"x")})
    ids = {
        "agent": "a",
        "connection": connection,
        "file": uploaded.json()["id"],
        "key": other_key["id"],
    }
    secrets = [SECRET, other_key["key"], tenant.key]
    asked = 0
    for route in routes_of(app):
        if "GET" in (route.methods or ()):
            path = re.sub(r"\{(\w+)\}", lambda found: ids.get(found[1], "x"), route.path)
            answer: httpx.Response = await client.get(path)
            asked += answer.status_code == 200
            assert not any(secret in answer.text for secret in secrets), path
    assert asked >= 10


async def test_the_log_holds_no_secret(tenant: Tenant, capsys: pytest.CaptureFixture[str]) -> None:
    body = {"type": "http", "name": "crm", "auth": "bearer", "secret": SECRET, "hosts": ["a.test"]}
    await tenant.client.post("/v1/connections", json=body)
    await tenant.client.post("/v1/connections", json=body | {"hosts": []})
    logged = capsys.readouterr().err
    assert "request.answered" in logged
    assert SECRET not in logged
    assert tenant.key not in logged

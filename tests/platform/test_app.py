"""What holds for every call: problems, limits, headers, scopes, the public pages."""

import json
import re
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from jsonschema import Draft202012Validator
from pydantic import SecretStr
from tests.platform.conftest import Tenant

from treadle.platform.app import create_app
from treadle.platform.auth.scopes import Scope
from treadle.platform.auth.tokens import make_key
from treadle.platform.openapi import routes_of
from treadle.platform.settings import Settings

pytestmark = pytest.mark.slow

PUBLIC = {
    "/healthz", "/readyz", "/metrics", "/v1/hooks/{token}", "/v1/callbacks/{token}", "/a/{token}",
}  # fmt: skip
MIB = 1024 * 1024
SMALL = """
    {"treadle": 1, "name": "keyword-research", "version": "1.0.0",
     "nodes": {"a": {"use": "set", "with": {"x": 1}}}}
"""


def assert_problem(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["status"], body["code"]) == (status, code)
    assert body["request_id"] == answer.headers["x-request-id"]


def test_every_route_has_a_scope_or_is_known_to_be_public(app: FastAPI) -> None:
    routes = routes_of(app)
    assert {route.path for route in routes if route.scope is None} == PUBLIC
    for route in routes:
        if route.scope is not None:
            reads = route.methods == {"GET"}
            assert route.scope.value.endswith(":read") or not reads, route.path


async def test_every_route_with_a_scope_refuses_a_call_without_a_key(
    app: FastAPI, anonymous: httpx.AsyncClient
) -> None:
    for route in routes_of(app):
        if route.scope is None:
            continue
        for method in route.methods or set():
            path = re.sub(r"\{[^}]+\}", "x", route.path)
            answer = await anonymous.request(method, path, content=b"{not json")
            assert_problem(answer, 401, "missing_key")


@pytest.mark.parametrize("odd", ["%00", "%ff%fe", "..%2f..", "%F0%9F%98%80", "'; --", "a" * 5000])
async def test_odd_names_in_a_path_are_no_bug(
    app: FastAPI, client: httpx.AsyncClient, odd: str
) -> None:
    for route in routes_of(app):
        for method in route.methods or set():
            if "{" in route.path and "/events" not in route.path:
                path = re.sub(r"\{[^}]+\}", odd, route.path)
                answer = await client.request(method, path)
                assert 400 <= answer.status_code < 500, (method, path, answer.text)


@pytest.mark.parametrize("odd", ["%00", "%ff%fe", "AA", "eA", "x" * 300])
async def test_odd_values_in_a_query_are_no_bug(
    app: FastAPI, client: httpx.AsyncClient, odd: str
) -> None:
    made = await client.put("/v1/templates/keyword-research", json=json.loads(SMALL))
    assert made.status_code == 201
    for route in routes_of(app):
        if route.methods == {"GET"} and "/events" not in route.path:
            path = re.sub(r"\{[^}]+\}", "keyword-research", route.path)
            for name in ("cursor", "version", "from", "agent", "status", "path"):
                answer = await client.get(f"{path}?{name}={odd}")
                assert answer.status_code < 500, (path, name, answer.text)


async def test_an_unknown_path_is_a_problem(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/nothing")
    assert_problem(answer, 404, "not_found")
    assert answer.json()["detail"] == "no address '/v1/nothing'; /docs lists all of them"


async def test_a_wrong_method_is_a_problem(client: httpx.AsyncClient) -> None:
    answer = await client.put("/v1/keys")
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, POST"


async def test_a_misspelt_field_is_told_before_the_one_that_is_missing(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post("/v1/keys", json={"nmae": "x"})
    assert_problem(answer, 422, "invalid_request")
    assert answer.json()["detail"] == "nmae: unknown field 'nmae' (Did you mean `name`?)"


async def test_an_unknown_field_is_422_and_named(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/keys", json={"name": "x", "workspace_id": "y", "expires": 1})
    assert_problem(answer, 422, "invalid_request")
    assert [(i["path"], i["message"]) for i in answer.json()["issues"]] == [
        ("workspace_id", "unknown field 'workspace_id'"),
        ("expires", "unknown field 'expires'"),
    ]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('{"name": }', "Expecting value"),
        ('{"name": "a", "name": "b"}', "key 'name' stands twice in one object"),
        ('{"name": NaN}', "NaN is no JSON number"),
        ('{"name": 1e400}', "the number 1e400 is too large"),
        ('{"name": "\\u0000"}', "a text holds the character NUL"),
        ('{"name": "\\ud800"}', "a text holds half of a surrogate pair"),
        ("[" * 100_000, "it is nested too deeply"),
        ('{"name": ' + "9" * 10_000 + "}", None),
        ("\u00e9".encode("latin-1"), "it is not UTF-8"),
    ],
)
async def test_json_that_cannot_be_kept_is_422(
    client: httpx.AsyncClient, body: str | bytes, reason: str | None
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await client.post("/v1/keys", content=body, headers=headers)
    assert_problem(answer, 422, "invalid_json")
    if reason is not None:
        assert answer.json()["detail"] == f"the body is no valid JSON: {reason}"


async def test_escapes_that_are_fine_stay_fine(client: httpx.AsyncClient) -> None:
    body = r'{"name": "caf\u00e9 \ud83d\ude00 \\u0000"}'
    headers = {"Content-Type": "application/json"}
    answer = await client.post("/v1/keys", content=body, headers=headers)
    assert answer.status_code == 201
    assert answer.json()["name"] == "café 😀 \\u0000"


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded"])
async def test_a_body_that_is_no_json_is_415(client: httpx.AsyncClient, media_type: str) -> None:
    headers = {"Content-Type": media_type}
    answer = await client.post("/v1/keys", content=b"{}", headers=headers)
    assert_problem(answer, 415, "unsupported_media_type")


async def test_a_body_over_1_mib_is_413(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/keys", json={"name": "x" * MIB})
    assert_problem(answer, 413, "body_too_large")
    assert answer.json()["detail"] == "the body is over the limit of 1048576 bytes"


async def test_a_chunked_body_is_read_only_up_to_the_limit(client: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100 * MIB:
            sent += 64 * 1024
            yield b" " * 64 * 1024

    headers = {"Content-Type": "application/json"}
    answer = await client.post("/v1/keys", content=endless(), headers=headers)
    assert_problem(answer, 413, "body_too_large")


async def test_the_key_is_checked_before_the_body(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.post("/v1/keys", json={"name": "x" * MIB})
    assert_problem(answer, 401, "missing_key")


async def test_a_key_in_the_query_does_not_count(
    anonymous: httpx.AsyncClient, tenant: Tenant
) -> None:
    places = {"params": {"key": tenant.key}, "cookies": {"key": tenant.key}}
    answer = await anonymous.get("/v1/keys", params=places["params"])
    assert_problem(answer, 401, "missing_key")
    answer = await anonymous.get("/v1/keys", headers={"X-Api-Key": tenant.key})
    assert_problem(answer, 401, "missing_key")


async def test_a_bug_answers_500_and_says_nothing(
    app: FastAPI, anonymous: httpx.AsyncClient
) -> None:
    @app.get("/bug")
    async def bug() -> None:
        raise ZeroDivisionError("secret detail")

    answer = await anonymous.get("/bug")
    assert_problem(answer, 500, "internal")
    assert "secret detail" not in answer.text


async def test_a_database_that_is_away_answers_503(settings: Settings) -> None:
    away = settings.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:9/none"})
    transport = httpx.ASGITransport(create_app(away))
    async with httpx.AsyncClient(transport=transport, base_url="http://treadle.test") as client:
        ready = await client.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["parts"]["database"] == "unreachable"
        assert (await client.get("/healthz")).status_code == 200
        known_shape = {"Authorization": f"Bearer {make_key()}"}
        answer = await client.get("/v1/keys", headers=known_shape)
        assert_problem(answer, 503, "database_unavailable")
        assert answer.headers["retry-after"] == "1"
        wrong_checksum = {"Authorization": f"Bearer {make_key()[:-1]}~"}
        answer = await client.get("/v1/keys", headers=wrong_checksum)
        assert_problem(answer, 401, "invalid_key")  # no query was made


async def test_answers_carry_security_headers(client: httpx.AsyncClient) -> None:
    for answer in (await client.get("/v1/keys"), await client.get("/v1/nothing")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers


async def test_a_request_id_is_taken_over_if_it_is_harmless(anonymous: httpx.AsyncClient) -> None:
    given = await anonymous.get("/healthz", headers={"X-Request-Id": "abc-1"})
    assert given.headers["x-request-id"] == "abc-1"
    forged = await anonymous.get("/healthz", headers={"X-Request-Id": "a b"})
    assert forged.headers["x-request-id"] != "a b"


async def test_readiness_reports_broker_and_models_without_gating(
    anonymous: httpx.AsyncClient,
) -> None:
    answer = await anonymous.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "ready": True,
        "parts": {"database": "ok", "broker": "not configured", "model": "not configured"},
    }


async def test_metrics_name_no_tenant(anonymous: httpx.AsyncClient, tenant: Tenant) -> None:
    await tenant.client.delete("/v1/keys/01234567-0000-7000-8000-000000000000")
    metrics = (await anonymous.get("/metrics")).text
    assert 'route="/v1/keys/{key}"' in metrics
    assert "01234567" not in metrics
    assert tenant.workspace not in metrics


async def test_the_docs_load_nothing_from_outside(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/docs")
    assert answer.status_code == 200
    assert "/v1/keys" in answer.text
    assert "http://" not in answer.text
    assert "https://" not in answer.text
    assert "<script" not in answer.text


async def test_openapi_is_sound_and_lists_every_route(
    app: FastAPI, anonymous: httpx.AsyncClient
) -> None:
    document = (await anonymous.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    hidden = {route.path for route in routes_of(app) if not route.include_in_schema}
    assert hidden == {"/a/{token}"}  # for people
    for route in routes_of(app):
        if route.path in hidden:
            continue
        for method in route.methods or set():
            operation = document["paths"][route.path_format][method.lower()]
            assert operation["responses"]["default"]["content"].keys() == {
                "application/problem+json"
            }
            if route.scope is not None:
                assert operation["security"] == [{"key": []}]
    for name, schema in document["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        assert name
    references = re.findall(r'"\$ref": ?"#/components/schemas/([^"]+)"', json.dumps(document))
    assert set(references) <= document["components"]["schemas"].keys()


async def test_no_request_body_takes_a_protected_field(app: FastAPI) -> None:
    protected = {"workspace_id", "workspace", "owner", "role", "mac", "hash", "created_at", "id"}
    document = app.openapi()
    operations = [op for path in document["paths"].values() for op in path.values()]
    bodies = re.findall(
        r'"application/json": {"schema": {"\$ref": "#/components/schemas/([^"]+)"',
        json.dumps([op["requestBody"] for op in operations if "requestBody" in op]),
    )
    assert "NewKey" in bodies
    for name in bodies:
        schema = document["components"]["schemas"][name]
        assert schema.get("additionalProperties") is False, name
        allowed = {"role"} if name == "NewMember" else set[str]()  # bounded by the caller's own
        assert not (protected - allowed) & schema.get("properties", {}).keys(), name


def test_scopes_are_those_of_the_contract() -> None:
    subjects = ["runs", "templates", "agents", "schedules", "connections"]
    subjects += ["knowledge", "bots", "keys", "workspace"]
    assert {s.value for s in Scope} == {
        f"{s}:{verb}" for s in subjects for verb in ("read", "write")
    }


def test_no_database_url_stops_the_start(settings: Settings) -> None:
    bare = settings.model_copy(update={"database_url": None, "secret_key": SecretStr("x" * 16)})
    with pytest.raises(ValueError, match="TREADLE_DATABASE_URL is not set"):
        create_app(bare)

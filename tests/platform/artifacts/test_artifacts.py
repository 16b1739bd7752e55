"""Artifacts: listed with their run, handed out as attachments."""

from uuid import UUID

import httpx
import pytest
from sqlalchemy import text
from tests.platform.conftest import NewTenant, Tenant

from treadle.platform.artifacts.repository import ArtifactRecord, put_artifact
from treadle.platform.db.database import Database
from treadle.platform.db.ids import new_id

pytestmark = pytest.mark.slow

HTML = b"<script>alert(1)</script>"
RUN = """
    INSERT INTO runs (id, root_id, template, version, sha256, trigger, owner, settings, connections,
        is_pure, status, inputs)
    VALUES (:id, :id, 't', '1.0.0', 'x', 'api', '', '{}', '{}', true, 'succeeded', '{}')
"""


async def make_run(database: Database, tenant: Tenant) -> UUID:
    run = new_id()
    async with database.tenant(tenant.id) as tx:
        await tx.execute(text("INSERT INTO template_texts (sha256, text) VALUES ('x', 'x')"))
        await tx.execute(text(RUN), {"id": run})
    return run


async def put(
    database: Database, tenant: Tenant, run: UUID, *, name: str = "plan.html"
) -> ArtifactRecord:
    async with database.tenant(tenant.id) as tx:
        return await put_artifact(
            tx, run=run, path="save", name=name, media_type="text/html", content=HTML
        )


async def test_an_artifact_is_always_an_attachment(tenant: Tenant, database: Database) -> None:
    run = await make_run(database, tenant)
    made = await put(database, tenant, run)
    answer = await tenant.client.get(f"/v1/artifacts/{made.id}")
    assert answer.content == HTML
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_step_that_repeats_makes_the_same_artifact(
    tenant: Tenant, database: Database
) -> None:
    run = await make_run(database, tenant)
    assert await put(database, tenant, run) == await put(database, tenant, run)


async def test_a_runs_artifacts_are_listed_in_order(tenant: Tenant, database: Database) -> None:
    run = await make_run(database, tenant)
    for name in ("a.html", "b.html", "c.html"):
        await put(database, tenant, run, name=name)
    url = f"/v1/runs/{run}/artifacts"
    first = (await tenant.client.get(url, params={"limit": 2})).json()
    assert [item["name"] for item in first["items"]] == ["a.html", "b.html"]
    second = (await tenant.client.get(url, params={"cursor": first["next"]})).json()
    assert [item["name"] for item in second["items"]] == ["c.html"]
    assert set(second["items"][0]) == {"id", "name", "media_type", "size", "sha256"}


async def test_anothers_artifacts_are_404(
    tenant: Tenant, database: Database, new_tenant: NewTenant
) -> None:
    run = await make_run(database, tenant)
    made = await put(database, tenant, run)
    stranger: httpx.AsyncClient = (await new_tenant()).client
    answer = await stranger.get(f"/v1/artifacts/{made.id}")
    assert (answer.status_code, answer.json()["code"]) == (404, "artifact_not_found")
    answer = await stranger.get(f"/v1/runs/{run}/artifacts")
    assert (answer.status_code, answer.json()["code"]) == (404, "run_not_found")

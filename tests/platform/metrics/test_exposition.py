"""`/metrics`: all processes, their queue, and no tenant."""

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families
from tests.platform.conftest import Tenant

from treadle.platform.engine.connections import EngineConnection
from treadle.platform.metrics.publisher import Publisher
from treadle.platform.settings import Settings

pytestmark = pytest.mark.slow

TEXT = "treadle: 1\nname: secret-name\nversion: 1.0.0\nnodes:\n  a: {use: set, with: {x: 1}}\n"


async def samples(client: httpx.AsyncClient, name: str) -> dict[str, float]:
    text = (await client.get("/metrics")).text
    return {
        ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


async def test_unfinished_runs_are_counted_by_status(
    anonymous: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    before = await samples(anonymous, "treadle_runs_unfinished")
    assert set(before) == {"status=queued", "status=running", "status=waiting"}
    await client.post("/v1/runs", json={"template": TEXT})
    after = await samples(anonymous, "treadle_runs_unfinished")
    assert after["status=queued"] == before["status=queued"] + 1


async def test_another_process_is_seen_until_it_stops(
    anonymous: httpx.AsyncClient, settings: Settings
) -> None:
    registry = CollectorRegistry()
    Counter("treadle_test_things", "Things.", registry=registry).inc(3)
    connection = EngineConnection(str(settings.database_url))
    publisher = Publisher(connection, "worker:test", registry=registry)
    await publisher.publish()
    assert await samples(anonymous, "treadle_test_things_total") == {"process=worker:test": 3}
    await publisher.stop()
    assert await samples(anonymous, "treadle_test_things_total") == {}


async def test_requests_are_counted_by_route_and_no_tenant_is_named(
    anonymous: httpx.AsyncClient, client: httpx.AsyncClient, tenant: Tenant
) -> None:
    started = await client.post("/v1/runs", json={"template": TEXT})
    await client.get(f"/v1/runs/{started.json()['id']}")
    text = (await anonymous.get("/metrics")).text
    assert 'route="/v1/runs/{run}"' in text
    for named in (tenant.workspace, str(tenant.id), started.json()["id"], "secret-name"):
        assert named not in text

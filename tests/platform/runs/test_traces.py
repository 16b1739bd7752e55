"""A request's trace goes on in its run, and arrives at a real collector's door."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from tests.platform.conftest import Tenant
from typing_extensions import override

from treadle.agents.values import JsonObject, JsonValue
from treadle.platform.db.database import Database
from treadle.platform.services import Services
from treadle.platform.settings import Settings
from treadle.workers.process import WorkerService

pytestmark = pytest.mark.slow

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TEXT = """\
treadle: 1
name: two
version: 1.0.0
inputs: {words: {type: array, items: {type: string}, default: [a, b]}}
nodes:
  each:
    use: map
    over: ${{ inputs.words }}
    as: word
    nodes:
      loud: {use: set, with: {word: "${{ word | upper }}"}}
    output: ${{ loud.word }}
"""


class Collector(HTTPServer):
    """Takes what is posted to `/v1/traces`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Door)
        self.bodies: list[JsonObject] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def spans(self) -> list[JsonObject]:
        return [
            span
            for body in self.bodies
            for resource in objects(body["resourceSpans"])
            for scope in objects(resource["scopeSpans"])
            for span in objects(scope["spans"])
        ]


def objects(value: JsonValue) -> list[JsonObject]:
    assert isinstance(value, list)
    return [one for one in value if isinstance(one, dict)]


class _Door(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Collector)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/traces":
            self.server.bodies.append(json.loads(body))
        self.send_response(200)
        self.end_headers()

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def settings(settings: Settings, collector: Collector) -> Settings:
    return settings.model_copy(update={"otlp_endpoint": collector.url})


async def test_request_run_and_steps_are_one_trace(
    app: FastAPI, client: httpx.AsyncClient, worker: WorkerService, collector: Collector
) -> None:
    answer = await client.post(
        "/v1/runs",
        json={"template": TEXT, "wait_s": 20},
        headers={"traceparent": f"00-{TRACE}-{SPAN}-01"},
    )
    assert answer.status_code == 200
    await worker.stop()
    services: Services = app.state.services
    assert services.exporter is not None
    await services.exporter.stop()
    spans = {str(span["name"]): span for span in collector.spans()}
    request, run, each = spans["POST /v1/runs"], spans["run two"], spans["each"]
    assert {str(span["traceId"]) for span in (request, run, each)} == {TRACE}
    assert request["parentSpanId"] == SPAN
    assert run["parentSpanId"] == request["spanId"]
    assert each["parentSpanId"] == run["spanId"]
    inner = [span for span in collector.spans() if span["name"] == "each.loud"]
    assert [span["parentSpanId"] for span in inner] == [each["spanId"]] * 2
    assert len({str(span["spanId"]) for span in inner}) == 2
    assert int(str(run["startTimeUnixNano"])) <= int(str(run["endTimeUnixNano"]))


async def test_a_run_keeps_the_trace_it_was_started_in(
    client: httpx.AsyncClient, database: Database, tenant: Tenant
) -> None:
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-01", "Idempotency-Key": "x"}
    await client.post("/v1/runs", json={"template": TEXT}, headers=headers)
    async with database.tenant(tenant.id) as tx:
        kept = (await tx.execute(text("SELECT traceparent FROM runs"))).scalar_one()
    assert kept.startswith(f"00-{TRACE}-")


async def test_what_is_not_sampled_is_not_exported(
    app: FastAPI, client: httpx.AsyncClient, worker: WorkerService, collector: Collector
) -> None:
    body = {"template": TEXT, "wait_s": 20}
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-00"}
    assert (await client.post("/v1/runs", json=body, headers=headers)).status_code == 200
    await worker.stop()
    assert collector.spans() == []

"""Agents and caches on real parts: calls are paid and made once, whatever happens to a worker."""

import asyncio
import json
import threading
import time

import httpx
import pytest
from tests.doubles.model_server import Json, ModelServer, Says, says
from tests.workers.conftest import Sink, StartWorker
from tests.workers.test_waits import answer, ended, waiting
from tests.workers.test_worker import start

from treadle.platform.engine.liveness import BEAT_S
from treadle.platform.settings import Settings

pytestmark = pytest.mark.slow

AGENT = """\
treadle: 1
name: agent
version: 1.0.0
inputs: {url: {type: string}}
nodes:
  work:
    use: agent
    with:
      prompt: Go.
      tools:
        - use: http.request
          approve: true
          with: {method: POST, url: "${{ inputs.url }}/sent"}
outputs: {text: "${{ work.text }}", results: "${{ work.steps | map('result') }}"}
"""
TWO = (("http_request", '{"body": "one"}'), ("http_request", '{"body": "two"}'))


def reply(body: Json) -> Says:
    """Two calls at first, then an answer that says how many results came."""
    results = sum(message["role"] == "tool" for message in body["messages"])
    return says(f"Got {results}.") if results else says("", calls=TWO, finish_reason="tool_calls")


async def test_an_agent_asks_parks_and_goes_on_elsewhere(
    client: httpx.AsyncClient, start_worker: StartWorker, sink: Sink
) -> None:
    with ModelServer(reply) as server:
        worker = start_worker(TREADLE_MODEL_URL=server.url)
        await worker.ready()
        run = await start(client, AGENT, url=sink.url)
        await waiting(client, run, "approval", "approval")
        worker.kill()
        items = (await client.get("/v1/approvals")).json()["items"]
        shown = {item["show"]["arguments"]["body"]: item for item in items}
        assert set(shown) == {"one", "two"}
        assert shown["one"]["show"]["arguments"]["url"] == f"{sink.url}/sent"
        for item, action in ((shown["one"], "approve"), (shown["two"], "reject")):
            assert (await answer(client, item["id"], action)).status_code == 200
        start_worker("w2", TREADLE_MODEL_URL=server.url)
        done = await ended(client, run)
        assert server.calls == 2
    assert done["status"] == "succeeded", done
    assert done["outputs"]["text"] == "Got 2."
    sent, refused = done["outputs"]["results"]
    assert (sent["status"], refused) == (200, None)
    assert sink.count("/sent") == 1
    assert done["usage"]["model_calls"] == 2


CACHED = """\
treadle: 1
name: cached
version: 1.0.0
inputs: {url: {type: string}}
nodes:
  page: {use: http.request, cache: 1d, with: {url: "${{ inputs.url }}/page"}}
  ask: {use: llm, cache: 1d, with: {prompt: "Sum up ${{ page.status }}."}}
outputs: {text: "${{ ask }}"}
"""


async def test_a_second_run_takes_cached_results(
    client: httpx.AsyncClient, start_worker: StartWorker, sink: Sink
) -> None:
    with ModelServer(says("Fine.")) as server:
        worker = start_worker(TREADLE_MODEL_URL=server.url)
        await worker.ready()
        for _ in range(2):
            done = await ended(client, await start(client, CACHED, url=sink.url))
            assert done["outputs"] == {"text": "Fine."}
        assert server.calls == 1
        assert sink.count("/page") == 1
        edited = CACHED.replace("Sum up", "Tell me of")
        done = await ended(client, await start(client, edited, url=sink.url))
        assert (server.calls, sink.count("/page")) == (2, 1)


MANY = """\
treadle: 1
name: many
version: 1.0.0
nodes:
  each:
    use: map
    over: [1, 2, 3, 4, 5, 6, 7, 8]
    as: n
    nodes: {say: {use: llm, with: {prompt: "${{ n }}"}}}
    output: ${{ say }}
outputs: {texts: "${{ each }}"}
"""


async def test_workers_share_the_places_of_an_endpoint(
    client: httpx.AsyncClient, start_worker: StartWorker, settings: Settings
) -> None:
    calling = Calling()
    with ModelServer(calling.reply) as server:
        models = {"deepseek-v3": {"url": server.url, "limits": {"concurrency": 2}}}
        (settings.home / "models.yaml").write_text(json.dumps(models))
        for name in ("w1", "w2"):
            await start_worker(name).ready()
        await asyncio.sleep(1.2 * BEAT_S)  # the first hears of the second at its next beat
        runs = [await start(client, MANY) for _ in range(4)]
        for run in runs:
            assert (await ended(client, run))["status"] == "succeeded"
    assert server.calls == 32
    assert calling.most == 2


class Calling:
    """Counts the calls that are under way at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0

    def reply(self, _: Json) -> Says:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(0.02)
        with self._lock:
            self._now -= 1
        return says("Yes.")

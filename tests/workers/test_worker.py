"""Runs through the API, Celery and worker processes; none of it simulated."""

# redis leaves parts of its signatures untyped.
# pyright: reportUnknownMemberType=false

import asyncio
import base64
import json
import os
import signal
import sys

import httpx
import pytest
import redis
from celery import Celery
from psycopg import AsyncConnection
from tests.workers.conftest import Sink, StartWorker, environment

from treadle.platform.jobs import ADVANCE_RUNS, QUEUE
from treadle.platform.settings import Settings

pytestmark = pytest.mark.slow

PURE = """\
treadle: 1
name: greet
version: 1.0.0
inputs:
  who: {type: string}
  note: {type: string, optional: true}
nodes:
  hello:
    use: set
    with: {text: "Hello ${{ inputs.who }}"}
outputs:
  text: ${{ hello.text }}
"""
EFFECTS = """\
treadle: 1
name: effects
version: 1.0.0
inputs:
  url: {type: string}
nodes:
  first:
    use: http.request
    with: {method: POST, url: "${{ inputs.url }}/first"}
  second:
    use: http.request
    needs: [first]
    with: {method: POST, url: "${{ inputs.url }}/slow/second"}
  third:
    use: http.request
    needs: [second]
    with: {method: POST, url: "${{ inputs.url }}/third"}
outputs:
  status: ${{ third.status }}
"""


async def start(client: httpx.AsyncClient, template: str, **inputs: str) -> str:
    answer = await client.post("/v1/runs", json={"template": template, "inputs": inputs})
    assert answer.status_code == 202, answer.text
    run: str = answer.json()["id"]
    return run


async def ended(client: httpx.AsyncClient, run: str, *, timeout_s: float = 90) -> dict[str, object]:
    async with asyncio.timeout(timeout_s):
        while True:
            shown: dict[str, object] = (await client.get(f"/v1/runs/{run}")).json()
            if shown["finished_at"] is not None:
                return shown
            await asyncio.sleep(0.05)


async def test_a_run_goes_from_the_api_to_a_worker_and_back(
    client: httpx.AsyncClient, start_worker: StartWorker
) -> None:
    worker = start_worker()
    await worker.ready()
    body = {"template": PURE, "inputs": {"who": "Ada"}, "wait_s": 10}
    answer = await client.post("/v1/runs", json=body)
    assert answer.status_code == 200, answer.text
    run = answer.json()
    assert run["status"] == "succeeded"
    assert run["outputs"] == {"text": "Hello Ada"}
    assert run["inputs"] == {"who": "Ada", "note": None}
    assert (await client.get(f"/v1/runs/{run['id']}")).json() == run
    assert await worker.terminate() == 0


async def test_it_is_a_program(client: httpx.AsyncClient, settings: Settings) -> None:
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "treadle.workers", "worker",
        env={**os.environ, **environment(settings)},
    )  # fmt: skip
    body = {"template": PURE, "inputs": {"who": "Ada"}, "wait_s": 60}
    assert (await client.post("/v1/runs", json=body)).json()["status"] == "succeeded"
    worker.terminate()
    assert await worker.wait() == 0


async def test_after_kill_9_finished_steps_are_not_repeated(
    client: httpx.AsyncClient, start_worker: StartWorker, sink: Sink
) -> None:
    worker = start_worker()
    await worker.ready()
    run = await start(client, EFFECTS, url=sink.url)
    await sink.reached("/slow/second")
    worker.kill()
    start_worker()
    shown = await ended(client, run)
    assert shown["status"] == "succeeded"
    assert (sink.count("/first"), sink.count("/third")) == (1, 1)
    assert sink.count("/slow/second") == 2
    assert len(sink.keys("/slow/second")) == 1


async def test_another_worker_takes_over_from_one_that_hangs(
    client: httpx.AsyncClient, start_worker: StartWorker, sink: Sink, settings: Settings
) -> None:
    hung = start_worker("w1")
    await hung.ready()
    run = await start(client, EFFECTS, url=sink.url)
    await sink.reached("/slow/second")
    hung.send_signal(signal.SIGSTOP)
    other = start_worker("w2")
    await other.ready()
    await pretend_silence(settings, "w1")
    shown = await ended(client, run)
    assert shown["status"] == "succeeded"
    hung.send_signal(signal.SIGCONT)
    await asyncio.sleep(2)
    assert (await client.get(f"/v1/runs/{run}")).json() == shown
    assert (sink.count("/first"), sink.count("/third")) == (1, 1)


async def pretend_silence(settings: Settings, worker: str) -> None:
    """As if the worker had been silent for long; its next beat would tell otherwise."""
    async with await AsyncConnection.connect(settings.database_url or "", autocommit=True) as sql:
        await sql.execute(
            "UPDATE workers SET beat_at = beat_at - interval '1 minute' WHERE name = %s", (worker,)
        )


async def test_sigterm_hands_over_and_the_next_worker_goes_on(
    client: httpx.AsyncClient, start_worker: StartWorker, sink: Sink
) -> None:
    sink.slow_s = 5  # the worker has to hear of its end before the answer
    worker = start_worker("w1")
    await worker.ready()
    run = await start(client, EFFECTS, url=sink.url)
    await sink.reached("/slow/second")
    assert await worker.terminate() == 0
    shown = (await client.get(f"/v1/runs/{run}")).json()
    assert shown["status"] == "queued"
    assert [step["status"] for step in shown["steps"]] == ["succeeded", "succeeded", "pending"]
    start_worker("w2")
    assert (await ended(client, run))["status"] == "succeeded"
    assert [path for path, _ in sink.requests] == ["/first", "/slow/second", "/third"]


async def test_a_cancelled_run_ends_while_its_worker_is_in_a_request(
    client: httpx.AsyncClient, start_worker: StartWorker, sink: Sink
) -> None:
    sink.slow_s = 20  # the cancel has to come before the answer
    worker = start_worker()
    await worker.ready()
    run = await start(client, EFFECTS, url=sink.url)
    await sink.reached("/slow/second")
    answer = await client.post(f"/v1/runs/{run}/cancel")
    assert answer.status_code == 202
    assert answer.json()["status"] == "cancelled"
    assert [step["status"] for step in answer.json()["steps"]] == [
        "succeeded",
        "cancelled",
        "cancelled",
    ]
    again = await client.post(f"/v1/runs/{run}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "run_finished")
    await asyncio.sleep(2)
    assert sink.count("/third") == 0
    assert (await client.get(f"/v1/runs/{run}")).json()["status"] == "cancelled"


async def test_malformed_and_doubled_bells_change_nothing(
    client: httpx.AsyncClient, start_worker: StartWorker, sink: Sink, settings: Settings
) -> None:
    worker = start_worker()
    await worker.ready()
    run = await start(client, EFFECTS, url=sink.url)
    celery = Celery(broker=settings.redis_url, set_as_current=False)
    bells: list[list[object]] = [
        [[run, run]], [[run]], [["no id", 7, None, run]], [[]], [], [run], [{"a": 1}],
    ]  # fmt: skip
    for arguments in bells:
        celery.send_task(ADVANCE_RUNS, args=arguments, queue=QUEUE)
    celery.send_task("treadle.unknown", args=[], queue=QUEUE)
    celery.close()
    assert (await ended(client, run))["status"] == "succeeded"
    assert [path for path, _ in sink.requests] == ["/first", "/slow/second", "/third"]
    assert worker.is_alive


async def test_no_message_in_the_queue_ends_a_worker(
    client: httpx.AsyncClient, start_worker: StartWorker, sink: Sink, settings: Settings
) -> None:
    worker = start_worker()
    await worker.ready()
    unreadable, refused = wrong_messages()
    with redis.Redis.from_url(settings.redis_url or "") as broker:
        for message in unreadable + refused:
            broker.lpush(QUEUE, message)
        run = await start(client, EFFECTS, url=sink.url)
        async with asyncio.timeout(60):
            while broker.llen(QUEUE):
                assert worker.is_alive, worker.log.read_text()
                await asyncio.sleep(0.05)
        assert (await ended(client, run))["status"] == "succeeded"
    assert worker.is_alive
    said = worker.log.read_text()
    assert said.count("bell.unreadable") == len(unreadable), said
    assert said.count("bell.refused") == 2, said  # and none of them comes back
    assert "Unrecoverable error" not in said
    assert [path for path, _ in sink.requests] == ["/first", "/slow/second", "/third"]


def wrong_messages() -> tuple[list[bytes], list[bytes]]:
    """A bell as Celery writes it, with one thing wrong in each; and what only Celery notices."""

    def text(body: str) -> str:
        return base64.b64encode(body.encode()).decode()

    headers = {"lang": "py", "task": ADVANCE_RUNS, "id": "1"}
    properties = {
        "body_encoding": "base64",
        "delivery_tag": "1",
        "delivery_info": {"exchange": "", "routing_key": QUEUE},
    }
    bell: dict[str, object] = {
        "body": text("[[[]], {}, {}]"),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": headers,
        "properties": properties,
    }
    wrong: list[dict[str, object]] = [
        {"body": '[[{"runs": [1]}], {}, {}]'},  # no base64
        {"body": text("no JSON")},
        {"body": text("{}")},
        {"body": text("[7, {}, {}]")},
        {"body": 7},
        {"headers": {**headers, "task": ["a", "list"]}},
        {"headers": {"task": ADVANCE_RUNS}},
        {"headers": None},
        {"properties": {}},
        {"properties": "text"},
        {"content-type": "application/x-python-serialize"},
    ]
    refused: list[dict[str, object]] = [
        {"headers": {**headers, "compression": "no-such-compression"}},
        {"headers": {**headers, "timelimit": 7}},
    ]
    unreadable = [
        *(json.dumps({**bell, **one}).encode() for one in wrong),
        *(b"", b"\xff\xfe", b"{", b"[]", b"7", b"null", b"{}"),
    ]
    return unreadable, [
        *(json.dumps({**bell, **one}).encode() for one in refused),
        b"[" * 100_000,
    ]


async def test_events_resume_where_a_reader_left(
    client: httpx.AsyncClient, start_worker: StartWorker, sink: Sink
) -> None:
    start_worker()
    run = await start(client, EFFECTS, url=sink.url)
    everything = await events(client, run)
    kinds = [kind for _, kind, _ in everything]
    assert kinds[:2] == ["run.queued", "run.started"]
    assert kinds[-1] == "run.succeeded"
    assert kinds.count("step.succeeded") == 3
    numbers = [number for number, _, _ in everything]
    assert numbers == sorted(set(numbers))
    for number, kind, body in everything:
        assert (body["run"], body["type"]) == (run, kind)
        if kind.startswith("step."):
            assert body["item"] is None
            assert body["path"] == body["node"]
        assert await events(client, run, after=number) == [e for e in everything if e[0] > number]


async def events(
    client: httpx.AsyncClient, run: str, *, after: int | None = None
) -> list[tuple[int, str, dict[str, object]]]:
    """All events of a run until the stream ends."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    async with asyncio.timeout(90):
        answer = await client.get(f"/v1/runs/{run}/events", headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    found: list[tuple[int, str, dict[str, object]]] = []
    for block in answer.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if "id" in fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found

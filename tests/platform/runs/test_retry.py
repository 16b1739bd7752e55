"""Retries: a new run that takes over what an ended one finished, and does the rest again."""

from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from tests.doubles.web_server import Asked, Reply, WebServer
from tests.platform.runs.conftest import Run

from treadle.agents.values import JsonObject
from treadle.platform.db.ids import new_id
from treadle.workers.process import WorkerService

pytestmark = pytest.mark.slow

CHAIN = """\
treadle: 1
name: chain
version: 1.0.0
inputs:
  early: {type: string, default: a}
  late: {type: string, default: b}
nodes:
  one: {use: http.request, with: {url: "BASE/one?x=${{ inputs.early }}"}}
  two: {use: http.request, with: {method: POST, url: BASE/two, body: "${{ one.body }}"}}
  three: {use: set, with: {text: "${{ two.body }} ${{ inputs.late }}"}}
  aside: {use: http.request, with: {url: BASE/aside}}
outputs: {text: "${{ three.text }}", first: "${{ one.body }}"}
"""
ITEMS = """\
treadle: 1
name: items
version: 1.0.0
nodes:
  each:
    use: map
    over: [0, 1, 2]
    as: number
    on_item_error: skip
    nodes:
      get: {use: http.request, with: {url: "BASE/item/${{ number }}"}}
      shown: {use: set, with: {text: "${{ get.body }}!"}}
    output: ${{ shown.text }}
outputs: {all: "${{ each }}"}
"""


class Sink(WebServer):
    """Counts who came, and fails where it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: set[str] = set()
        for path in ("/one", "/two", "/aside", "/item/0", "/item/1", "/item/2"):
            self.routes[path] = self._answer

    def _answer(self, asked: Asked) -> Reply:
        path = urlsplit(asked.path).path
        return Reply(status=500 if path in self.broken else 200, body=f"<{path[1:]}>".encode())

    def template(self, text: str) -> str:
        return text.replace("BASE", self.url)

    def counts(self) -> Counter[str]:
        return Counter(urlsplit(path).path[1:] for path in self.paths())


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as sink:
        yield sink


async def retry(client: httpx.AsyncClient, run: JsonObject, **order: object) -> JsonObject:
    """Retry to the end of the new run."""
    answer = await client.post(f"/v1/runs/{run['id']}/retry", json=order)
    assert answer.status_code == 202, answer.text
    made: JsonObject = answer.json()
    assert made["status"] == "queued"
    events = await client.get(f"/v1/runs/{made['id']}/events")
    assert "event: run.started" in events.text
    ended: JsonObject = (await client.get(f"/v1/runs/{made['id']}")).json()
    return ended


async def test_a_failed_run_goes_on_where_it_failed(
    run: Run, client: httpx.AsyncClient, sink: Sink
) -> None:
    sink.broken.add("/two")
    failed = await run(sink.template(CHAIN))
    assert failed["status"] == "failed"
    sink.broken.clear()

    made = await retry(client, failed)

    assert made["status"] == "succeeded"
    assert made["outputs"] == {"text": "<two> b", "first": "<one>"}
    assert (made["root_id"], made["id"] == failed["id"]) == (failed["root_id"], False)
    assert sink.counts() == {"one": 1, "two": 2, "aside": 1}
    keys = [one.headers["idempotency-key"] for one in sink.asked if one.method == "POST"]
    assert len(set(keys)) == 1


@pytest.mark.parametrize(
    ("start", "again"),
    [("one", {"one": 2, "two": 2, "aside": 1}), ("two", {"one": 1, "two": 2, "aside": 1}),
     ("three", {"one": 1, "two": 1, "aside": 1})],
)  # fmt: skip
async def test_a_step_runs_again_with_all_that_depends_on_it(
    run: Run, client: httpx.AsyncClient, sink: Sink, start: str, again: dict[str, int]
) -> None:
    done = await run(sink.template(CHAIN))
    made = await retry(client, done, **{"from": start})
    assert (made["status"], made["outputs"]) == ("succeeded", done["outputs"])
    assert sink.counts() == again


async def test_an_edited_output_is_what_the_next_steps_read(
    run: Run, client: httpx.AsyncClient, sink: Sink
) -> None:
    done = await run(sink.template(CHAIN))
    made = await retry(client, done, set={"two": {"body": "mine " * 10_000}})
    assert made["outputs"] == {"text": "mine " * 10_000 + " b", "first": "<one>"}
    assert sink.counts() == {"one": 1, "two": 1, "aside": 1}
    steps = (await client.get(f"/v1/runs/{made['id']}/steps", params={"path": "two"})).json()
    reference = steps["items"][0]["output"]["$ref"]
    value = await client.get(f"/v1/runs/{made['id']}/values/{reference}")
    assert value.json() == {"body": "mine " * 10_000}


async def test_inputs_change_only_what_no_reused_step_has_read(
    run: Run, client: httpx.AsyncClient, sink: Sink
) -> None:
    done = await run(sink.template(CHAIN))
    made = await retry(client, done, **{"from": "three", "inputs": {"late": "c"}})
    assert made["outputs"] == {"text": "<two> c", "first": "<one>"}
    assert made["inputs"] == {"early": "a", "late": "c"}
    body = {"from": "three", "inputs": {"early": "z"}}
    refused = await client.post(f"/v1/runs/{done['id']}/retry", json=body)
    assert (refused.status_code, refused.json()["code"]) == (409, "inputs_read")
    assert "early" in refused.json()["detail"]


async def test_one_item_of_a_map_runs_again(
    run: Run, client: httpx.AsyncClient, sink: Sink
) -> None:
    sink.broken.add("/item/1")
    done = await run(sink.template(ITEMS))
    assert done["outputs"] == {"all": ["<item/0>!", "<item/2>!"]}
    sink.broken.clear()

    made = await retry(client, done, **{"from": "each[2]"})
    assert made["outputs"] == {"all": ["<item/0>!", "<item/1>!", "<item/2>!"]}
    assert sink.counts() == {"item/0": 1, "item/1": 2, "item/2": 2}

    whole = await retry(client, made, **{"from": "each"})
    assert whole["outputs"] == made["outputs"]
    assert sink.counts() == {"item/0": 2, "item/1": 3, "item/2": 3}


async def test_the_failed_items_of_a_run_that_went_well_are_what_is_retried(
    run: Run, client: httpx.AsyncClient, sink: Sink
) -> None:
    sink.broken.add("/item/1")
    done = await run(sink.template(ITEMS))
    sink.broken.clear()
    made = await retry(client, done)
    assert made["outputs"] == {"all": ["<item/0>!", "<item/1>!", "<item/2>!"]}
    assert sink.counts() == {"item/0": 1, "item/1": 2, "item/2": 1}


async def test_of_another_version_only_what_changed_runs(
    run: Run, client: httpx.AsyncClient, sink: Sink
) -> None:
    old = sink.template(CHAIN)
    new = old.replace("1.0.0", "1.1.0").replace("${{ two.body }} ", "${{ two.body }} and ")
    for text in (old, new):
        stored = await client.put(
            "/v1/templates/chain", content=text, headers={"Content-Type": "application/yaml"}
        )
        assert stored.status_code == 201, stored.text
    done = await run(old)

    made = await retry(client, done, version="^1.0.0")

    assert (made["version"], made["outputs"]) == (
        "1.1.0",
        {"text": "<two> and b", "first": "<one>"},
    )
    assert sink.counts() == {"one": 1, "two": 1, "aside": 1}


@pytest.mark.parametrize("order", [{"from": "four"}, {"from": "one[0]"}, {"set": {"four": 1}}])
async def test_an_unknown_step_is_refused(
    run: Run, client: httpx.AsyncClient, sink: Sink, order: JsonObject
) -> None:
    done = await run(sink.template(CHAIN))
    refused = await client.post(f"/v1/runs/{done['id']}/retry", json=order)
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown_step")


async def test_what_has_not_ended_or_is_not_there_is_refused(
    client: httpx.AsyncClient, sink: Sink
) -> None:
    body = {"template": sink.template(CHAIN), "run_at": "2099-01-01T00:00:00Z"}
    queued = (await client.post("/v1/runs", json=body)).json()
    refused = await client.post(f"/v1/runs/{queued['id']}/retry")
    assert (refused.status_code, refused.json()["code"]) == (409, "run_not_finished")
    assert (await client.post(f"/v1/runs/{new_id()}/retry")).status_code == 404


async def test_the_same_key_makes_one_run(
    run: Run, client: httpx.AsyncClient, sink: Sink, worker: WorkerService
) -> None:
    done = await run(sink.template(CHAIN))
    head = {"Idempotency-Key": "once"}
    url = f"/v1/runs/{done['id']}/retry"
    first = await client.post(url, json={}, headers=head)
    second = await client.post(url, json={}, headers=head)
    assert (first.status_code, first.json()) == (202, second.json())

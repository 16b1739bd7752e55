"""Runs that wait, on real parts: parked without a worker, woken by answers, ended once."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import httpx
import pytest
from tests.doubles.mail_server import MailSink, mail_sink
from tests.workers.conftest import Sink, StartWorker
from tests.workers.test_worker import ended as has_ended
from tests.workers.test_worker import start

pytestmark = pytest.mark.slow
Shown: TypeAlias = dict[str, Any]  # Any: a run as JSON, looked at in many places

HEAD = """\
treadle: 1
name: waiting
version: 1.0.0
inputs:
  url: {type: string, default: ""}
"""


@pytest.fixture
async def mail() -> AsyncIterator[MailSink]:
    async with mail_sink() as sink:
        yield sink


APPROVAL = (
    HEAD
    + """\
nodes:
  ask:
    use: approval
    with:
      title: Publish?
      show: {text: "<b>hello</b>"}
      actions: [go, stop]
      form:
        note: {type: string, maxLength: 10, optional: true}
        copies: {type: integer, default: 1}
      timeout: 3d
      on_timeout: stop
  send:
    use: http.request
    when: ask.action == 'go'
    with: {method: POST, url: "${{ inputs.url }}/sent/${{ ask.form.copies }}"}
outputs:
  action: ${{ ask.action }}
  form: ${{ ask.form }}
"""
)


async def waiting(client: httpx.AsyncClient, run: str, *kinds: str) -> Shown:
    """The run once it waits for exactly these."""
    shown: Shown = {}
    async with asyncio.timeout(90):
        while True:
            shown = (await client.get(f"/v1/runs/{run}")).json()
            found = sorted(wait["kind"] for wait in shown["waiting_for"])
            if shown["status"] == "waiting" and found == sorted(kinds):
                return shown
            assert shown["finished_at"] is None, shown
            await asyncio.sleep(0.05)


async def ended(client: httpx.AsyncClient, run: str) -> Shown:
    """The run at its end."""
    return await has_ended(client, run)


async def approvals(client: httpx.AsyncClient) -> dict[str, str]:
    """Ids of the open approvals by path."""
    items = (await client.get("/v1/approvals")).json()["items"]
    return {item["path"]: item["id"] for item in items}


async def answer(client: httpx.AsyncClient, approval: str, action: str) -> httpx.Response:
    return await client.post(f"/v1/approvals/{approval}", json={"action": action})


async def test_an_approval_outlives_every_process_and_is_answered_once(
    client: httpx.AsyncClient, start_worker: StartWorker, sink: Sink
) -> None:
    worker = start_worker()
    await worker.ready()
    run = await start(client, APPROVAL, url=sink.url)
    shown = await waiting(client, run, "approval")
    worker.kill()
    (item,) = (await client.get("/v1/approvals")).json()["items"]
    assert item["id"] == shown["waiting_for"][0]["id"]
    assert set(item) == {
        "id", "run", "node", "path", "item", "title", "show", "actions", "form", "created_at",
        "until",
    }  # fmt: skip
    assert (item["run"], item["node"], item["item"]) == (run, "ask", None)
    assert (item["title"], item["show"]) == ("Publish?", {"text": "<b>hello</b>"})
    for body in ({"action": "og"}, {"action": "go", "form": {"note": "far too long"}}):
        refused = await client.post(f"/v1/approvals/{item['id']}", json=body)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_answer")
    answers = await asyncio.gather(*(answer(client, item["id"], "go") for _ in range(5)))
    assert sorted(one.status_code for one in answers) == [200, 409, 409, 409, 409]
    assert (await client.get("/v1/approvals")).json() == {"items": [], "next": None}
    start_worker()
    finished = await ended(client, run)
    assert finished["outputs"] == {"action": "go", "form": {"note": None, "copies": 1}}
    assert sink.count("/sent/1") == 1
    late = await answer(client, item["id"], "go")
    assert late.status_code == 409


async def test_after_a_cancel_an_approval_takes_no_answer(
    client: httpx.AsyncClient, start_worker: StartWorker
) -> None:
    start_worker()
    run = await start(client, APPROVAL)
    await waiting(client, run, "approval")
    (approval,) = (await approvals(client)).values()
    assert (await client.post(f"/v1/runs/{run}/cancel")).status_code == 202
    refused = await answer(client, approval, "go")
    assert (refused.status_code, refused.json()["code"]) == (409, "run_finished")
    assert await approvals(client) == {}
    for call in ("cancel", "pause", "resume"):
        finished = await client.post(f"/v1/runs/{run}/{call}")
        assert (finished.status_code, finished.json()["code"]) == (409, "run_finished")


async def test_approvals_of_a_map_are_all_open_and_answered_in_any_order(
    client: httpx.AsyncClient, start_worker: StartWorker
) -> None:
    start_worker()
    template = (
        HEAD
        + """\
nodes:
  each:
    use: map
    over: [0, 1, 2]
    concurrency: 1
    nodes:
      ask: {use: approval, with: {title: "Item ${{ item }}"}}
    output: ${{ ask.action }}
outputs: {all: "${{ each }}"}
"""
    )
    run = await start(client, template)
    shown = await waiting(client, run, *["approval"] * 3)
    assert shown["steps"][0]["counts"] == {"waiting": 3}
    opened = await approvals(client)
    for index, action in ((2, "reject"), (0, "approve"), (1, "approve")):
        assert (await answer(client, opened[f"each[{index}].ask"], action)).status_code == 200
    assert (await ended(client, run))["outputs"] == {"all": ["approve", "approve", "reject"]}


async def test_timers_and_timeouts_wake_a_parked_run(
    client: httpx.AsyncClient, start_worker: StartWorker
) -> None:
    start_worker()
    template = (
        HEAD
        + """\
nodes:
  nap: {use: wait, with: {for: 1500ms}}
  ask: {use: approval, with: {timeout: 2s, on_timeout: reject}}
  call: {use: wait, with: {callback: true, timeout: 2s}, on_error: {value: "${{ error.code }}"}}
outputs: {nap: "${{ nap.payload }}", ask: "${{ ask.action }}", call: "${{ call }}"}
"""
    )
    run = await start(client, template)
    await waiting(client, run, "approval", "callback", "timer")
    finished = await ended(client, run)
    assert finished["outputs"] == {"nap": None, "ask": "reject", "call": "callback_timeout"}


async def test_a_callback_ends_a_wait_once(
    client: httpx.AsyncClient, start_worker: StartWorker
) -> None:
    start_worker()
    template = (
        HEAD
        + """\
nodes: {call: {use: wait, with: {callback: true, timeout: 1d}}}
outputs: {payload: "${{ call.payload }}"}
"""
    )
    run = await start(client, template)
    shown = await waiting(client, run, "callback")
    token = shown["waiting_for"][0]["id"]
    url = f"/v1/callbacks/{token}"
    anonymous = {"Authorization": ""}
    assert (await client.post(url, content=b"{no", headers=anonymous)).status_code == 422
    answers = [await client.post(url, json={"paid": 7}, headers=anonymous) for _ in range(2)]
    assert [one.status_code for one in answers] == [202, 409]
    assert (await ended(client, run))["outputs"] == {"payload": {"paid": 7}}
    assert (await client.post(f"{url[:-1]}_", json={})).status_code == 404


async def test_a_paused_run_finishes_what_runs_and_waits(
    client: httpx.AsyncClient, start_worker: StartWorker, sink: Sink
) -> None:
    start_worker()
    template = (
        HEAD
        + """\
nodes:
  slow: {use: http.request, with: {method: POST, url: "${{ inputs.url }}/slow/1"}}
  next: {use: http.request, needs: [slow], with: {method: POST, url: "${{ inputs.url }}/next"}}
"""
    )
    sink.slow_s = 5  # the pause has to come before the answer
    run = await start(client, template, url=sink.url)
    await sink.reached("/slow/1")
    assert (await client.post(f"/v1/runs/{run}/pause")).status_code == 202
    shown = await waiting(client, run, "paused")
    assert [step["status"] for step in shown["steps"]] == ["succeeded", "pending"]
    assert (await client.post(f"/v1/runs/{run}/pause")).status_code == 202
    await asyncio.sleep(2.5)  # a sweep or two
    assert sink.count("/next") == 0
    assert (await client.post(f"/v1/runs/{run}/resume")).status_code == 202
    assert (await ended(client, run))["status"] == "succeeded"
    assert (sink.count("/slow/1"), sink.count("/next")) == (1, 1)


async def test_answers_to_a_paused_run_wait_with_it(
    client: httpx.AsyncClient, start_worker: StartWorker
) -> None:
    start_worker()
    run = await start(client, APPROVAL)
    await waiting(client, run, "approval")
    await client.post(f"/v1/runs/{run}/pause")
    await waiting(client, run, "approval", "paused")
    (approval,) = (await approvals(client)).values()
    assert (await answer(client, approval, "stop")).status_code == 200
    await asyncio.sleep(0.5)
    assert (await client.get(f"/v1/runs/{run}")).json()["status"] == "waiting"
    await client.post(f"/v1/runs/{run}/resume")
    assert (await ended(client, run))["outputs"]["action"] == "stop"


ONCE = (
    HEAD
    + """\
nodes:
  pay: {use: http.request, with: {method: POST, url: "${{ inputs.url }}/slow/pay", repeat: never}}
outputs: {status: "${{ pay.status }}"}
"""
)


@pytest.mark.parametrize(
    ("body", "status", "calls"),
    [
        ({"as": "done", "output": {"status": 299}}, "succeeded", 1),
        ({"as": "retry"}, "succeeded", 2),
        ({"as": "fail"}, "failed", 1),
    ],
)
async def test_an_unknown_step_is_settled_by_a_person(
    client: httpx.AsyncClient,
    start_worker: StartWorker,
    sink: Sink,
    body: dict[str, object],
    status: str,
    calls: int,
) -> None:
    worker = start_worker()
    await worker.ready()
    run = await start(client, ONCE, url=sink.url)
    await sink.reached("/slow/pay")
    worker.kill()
    start_worker()
    shown = await waiting(client, run, "unknown")
    assert shown["waiting_for"][0]["id"] == "pay"
    assert shown["steps"][0]["status"] == "unknown"
    settle = f"/v1/runs/{run}/steps/pay/settle"
    assert (await client.post(settle, json={"as": "maybe"})).status_code == 422
    nowhere = f"/v1/runs/{run}/steps/nowhere/settle"
    assert (await client.post(nowhere, json=body)).status_code == 404
    assert (await client.post(settle, json={"as": "fail", "output": 1})).status_code == 422
    key = {"Idempotency-Key": "the verdict on the first attempt"}
    assert (await client.post(settle, json=body, headers=key)).status_code == 202
    assert (await client.post(settle, json=body)).status_code == 409
    finished = await ended(client, run)
    assert (finished["status"], sink.count("/slow/pay")) == (status, calls)
    assert len(sink.keys("/slow/pay")) == 1


async def test_a_verdict_that_is_sent_again_is_none_on_the_next_attempt(
    client: httpx.AsyncClient, start_worker: StartWorker, sink: Sink
) -> None:
    worker = start_worker()
    run = await start(client, ONCE, url=sink.url)
    settle, key = f"/v1/runs/{run}/steps/pay/settle", {"Idempotency-Key": "not sent, surely"}
    replayed: list[str | None] = []
    for attempt in (1, 2):
        await sink.reached("/slow/pay", attempt)
        worker.kill()
        worker = start_worker()
        await waiting(client, run, "unknown")
        answer = await client.post(settle, json={"as": "retry"}, headers=key)
        assert answer.status_code == 202
        replayed.append(answer.headers.get("Idempotency-Replayed"))
    assert replayed == [None, "true"]
    await asyncio.sleep(1)
    assert sink.count("/slow/pay") == 2


CHILD = """\
treadle: 1
name: its-child
version: 1.0.0
inputs: {url: {type: string}, what: {type: string}}
nodes:
  ask: {use: approval}
  send:
    use: http.request
    needs: [ask]
    with: {method: POST, url: "${{ inputs.url }}/slow/child-${{ inputs.what }}"}
outputs: {what: "${{ inputs.what }} ${{ ask.action }}"}
"""
PARENT = (
    HEAD
    + """\
nodes:
  each:
    use: map
    over: [a, b]
    nodes:
      child: {use: "template:its-child@^1", with: {url: "${{ inputs.url }}", what: "${{ item }}"}}
    output: ${{ child.what }}
outputs: {all: "${{ each }}"}
"""
)


async def put(client: httpx.AsyncClient, name: str, text: str) -> httpx.Response:
    headers = {"Content-Type": "application/yaml"}
    return await client.put(f"/v1/templates/{name}", content=text, headers=headers)


async def put_child(client: httpx.AsyncClient, text: str = CHILD) -> None:
    answer = await put(client, "its-child", text)
    assert answer.status_code == 201, answer.text


def refusal(answer: httpx.Response) -> tuple[str, int, str]:
    """The path, line and message of the one issue a text is refused for."""
    assert answer.status_code == 422, answer.text
    (issue,) = answer.json()["issues"]
    return issue["path"], issue["line"], issue["message"]


async def test_child_runs_survive_kills_and_give_their_outputs(
    client: httpx.AsyncClient, start_worker: StartWorker, sink: Sink
) -> None:
    await put_child(client)
    worker = start_worker()
    await worker.ready()
    run = await start(client, PARENT, url=sink.url)
    shown = await waiting(client, run, "child", "child")
    worker.kill()
    await put_child(client, CHILD.replace("1.0.0", "1.1.0").replace("slow", "newer"))
    worker = start_worker()
    children = [wait["id"] for wait in shown["waiting_for"]]
    for child in children:
        found = await waiting(client, child, "approval")
        assert (found["root_id"], found["version"]) == (run, "1.0.0")
        (approval,) = found["waiting_for"]
        assert (await answer(client, approval["id"], "approve")).status_code == 200
    await sink.reached("/slow/child-a")
    worker.kill()
    start_worker()
    finished = await ended(client, run)
    assert finished["outputs"] == {"all": ["a approve", "b approve"]}
    assert {len(sink.keys(f"/slow/child-{name}")) for name in "ab"} == {1}
    listed = (await client.get("/v1/runs", params={"template": "its-child"})).json()["items"]
    assert sorted(item["id"] for item in listed) == sorted(children)


async def test_cancelling_a_parent_cancels_its_children(
    client: httpx.AsyncClient, start_worker: StartWorker, sink: Sink
) -> None:
    await put_child(client)
    start_worker()
    run = await start(client, PARENT, url=sink.url)
    shown = await waiting(client, run, "child", "child")
    children = [wait["id"] for wait in shown["waiting_for"]]
    await client.post(f"/v1/runs/{run}/cancel")
    for child in children:
        assert (await ended(client, child))["status"] == "cancelled"


async def test_a_cancelled_child_fails_its_parent_and_its_siblings_end(
    client: httpx.AsyncClient, start_worker: StartWorker, sink: Sink
) -> None:
    await put_child(client)
    start_worker()
    run = await start(client, PARENT, url=sink.url)
    shown = await waiting(client, run, "child", "child")
    first, second = [wait["id"] for wait in shown["waiting_for"]]
    await client.post(f"/v1/runs/{first}/cancel")
    finished = await ended(client, run)
    assert finished["status"] == "failed"
    assert finished["error"]["code"] == "child_cancelled"
    assert (await ended(client, second))["status"] == "cancelled"


async def test_a_child_that_is_not_there_and_a_template_that_runs_itself_are_refused(
    client: httpx.AsyncClient,
) -> None:
    missing = await client.post("/v1/runs", json={"template": PARENT, "inputs": {}})
    assert missing.status_code == 422
    (issue,) = missing.json()["issues"]
    assert issue["path"] == "nodes.each.nodes.child.use"
    again = CHILD[: CHILD.index("inputs")] + 'nodes: {again: {use: "template:waiting"}}\n'
    too_early = await put(client, "its-child", again)
    assert refusal(too_early) == ("nodes.again.use", 4, "no template 'waiting'")
    await put_child(
        client, CHILD.replace("url: {type: string}", 'url: {type: string, default: ""}')
    )
    given = 'with: {url: "", what: "x"}'
    parent = HEAD + f'nodes: {{child: {{use: "template:its-child", {given}}}}}\n'
    assert (await put(client, "waiting", parent)).status_code == 201
    circle = again.replace("1.0.0", "1.1.0")
    way = "its-child → waiting → … → its-child"
    refused = ("nodes.again.use", 4, f"a template may not run itself: {way}")
    assert refusal(await put(client, "its-child", circle)) == refused
    unpublished = await client.post("/v1/runs", json={"template": circle, "inputs": {}})
    assert unpublished.status_code == 422
    assert way in unpublished.json()["detail"]
    own = HEAD.replace("1.0.0", "1.1.0") + 'nodes: {child: {use: "template:waiting"}}\n'
    itself = ("nodes.child.use", 6, "a template may not run itself")
    assert refusal(await put(client, "waiting", own)) == itself
    for name in ("its-child", "waiting"):  # what was refused left nothing behind
        shown = (await client.get(f"/v1/templates/{name}")).json()
        assert shown["version"] == "1.0.0"
    await start(client, "waiting")


async def test_the_page_shows_what_will_happen_and_works_once(
    client: httpx.AsyncClient, start_worker: StartWorker, mail: MailSink, sink: Sink
) -> None:
    start_worker(TREADLE_SMTP_URL=mail.url, TREADLE_PUBLIC_URL="http://treadle.test")
    template = APPROVAL.replace("title: Publish?", "title: Publish?\n      notify: ada@example.com")
    run = await start(client, template, url=sink.url)
    await waiting(client, run, "approval")
    (message,) = mail.messages
    assert (message["To"], message["Subject"]) == ("ada@example.com", "Publish?")
    found = re.search(r"http://treadle\.test(/a/\S+)", message.get_content())
    assert found is not None
    page = found[1]
    anonymous = {"Authorization": ""}
    shown = await client.get(page, headers=anonymous)
    assert shown.status_code == 200
    assert "&lt;b&gt;hello&lt;/b&gt;" in shown.text
    assert "<script" not in shown.text
    policy = shown.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    wrong = await client.post(page, data={"action": "go", "form.note": "much too long"})
    assert wrong.status_code == 422
    assert 'aria-invalid="true"' in wrong.text
    done = await client.post(page, data={"action": "go", "form.copies": "2"}, headers=anonymous)
    assert done.status_code == 200
    assert (await client.post(page, data={"action": "stop"})).status_code == 410
    assert (await client.get(page)).status_code == 410
    assert (await client.get(page[:-1] + "-")).status_code == 404
    finished = await ended(client, run)
    assert finished["outputs"] == {"action": "go", "form": {"note": None, "copies": 2}}
    assert sink.count("/sent/2") == 1


async def test_a_drained_worker_leaves_a_parked_run_alone(
    client: httpx.AsyncClient, start_worker: StartWorker
) -> None:
    worker = start_worker()
    run = await start(client, APPROVAL)
    before = await waiting(client, run, "approval")
    worker.send_signal(signal.SIGTERM)
    assert await worker.end(20) == 0
    assert (await client.get(f"/v1/runs/{run}")).json() == before

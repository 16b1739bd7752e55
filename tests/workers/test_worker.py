"""Runs through the API, Celery and a worker process; none of it simulated."""

import httpx
import pytest
from tests.workers.conftest import StartWorker

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


async def test_a_run_goes_from_the_api_to_a_worker_and_back(
    client: httpx.AsyncClient, start_worker: StartWorker
) -> None:
    worker = start_worker()
    await worker.ready("w1")
    answer = await client.post(
        "/v1/runs", json={"template": PURE, "inputs": {"who": "Ada"}, "wait_s": 10}
    )
    assert answer.status_code == 200, answer.text
    run = answer.json()
    assert run["status"] == "succeeded"
    assert run["outputs"] == {"text": "Hello Ada"}
    assert run["inputs"] == {"who": "Ada", "note": None}
    shown = (await client.get(f"/v1/runs/{run['id']}")).json()
    assert shown == run
    for _ in range(20):
        answer = await client.post(
            "/v1/runs", json={"template": PURE, "inputs": {"who": "Ada"}, "wait_s": 10}
        )
        assert answer.status_code == 200
    assert worker.terminate() == 0

"""`treadle up` without a model named: the embedded one answers through the REST API."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from tests.platform.supervisor.installation import Installation, wait_until

from treadle.platform.client import Client
from treadle.platform.embedded.runtime import MODEL, missing_parts
from treadle.platform.health.routes import Readiness

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing_parts()), reason=f"not installed: {missing_parts()}"),
]
LOADING_S = 120.0  # the kernel may have to be built first
CHOICE = """\
treadle: 1
name: choose-a-mood
version: 1.0.0
nodes:
  mood:
    use: llm
    with:
      prompt: "The customer wrote: I love it, thank you! What is the mood? Answer with JSON."
      schema: {type: object, properties: {mood: {enum: [good, bad]}}, required: [mood]}
      max_tokens: 40
    timeout: 2m
outputs:
  mood: ${{ mood.mood }}
"""


@pytest.fixture(scope="module")
def installation(shared_root: Path) -> Iterator[Installation]:
    found = Installation(shared_root, env={"TREADLE_EMBEDDED_MODEL": "true"})
    found.start()
    yield found
    found.stop()


@pytest.fixture
def client(installation: Installation) -> Iterator[Client]:
    wait_until(lambda: answers(installation), "the model answers", within_s=LOADING_S)
    with installation.client() as found:
        yield found


def answers(installation: Installation) -> bool:
    url = installation.record.model_url
    assert url is not None
    try:
        return httpx.get(url.replace("/v1", "/healthz"), timeout=2).is_success
    except httpx.HTTPError:
        return False


def test_it_is_said_to_be_a_demonstrator(installation: Installation) -> None:
    assert installation.has_said(f"model: {MODEL}, a demonstrator that invents facts")
    assert installation.has_said("TREADLE_MODEL_URL")


def test_the_service_waits_for_no_model(installation: Installation) -> None:
    assert installation.is_ready()


def test_a_node_asks_it_through_the_api(installation: Installation, client: Client) -> None:
    run = client.wait(client.create_run(CHOICE, {}).id, timeout=timedelta(minutes=2))
    assert run.status == "succeeded", run.error
    assert run.outputs is not None
    assert run.outputs["mood"] in {"good", "bad"}
    parts = Readiness.model_validate(
        httpx.get(f"http://127.0.0.1:{installation.port}/readyz").json()
    ).parts
    assert parts["model"] == "ok"


def test_without_its_key_it_refuses(installation: Installation, client: Client) -> None:
    assert client.get_readiness().ready
    refused = httpx.get(f"{installation.record.model_url}/models")
    assert refused.status_code == httpx.codes.UNAUTHORIZED


def test_a_killed_one_is_started_again(installation: Installation, client: Client) -> None:
    assert client.get_readiness().ready
    killed = next(p for p in installation.family() if "treadle.model_runtime" in p.cmdline())
    killed.kill()
    wait_until(lambda: installation.has_said("runtime was killed by SIGKILL"), "it is said")
    wait_until(lambda: answers(installation), "it answers again", within_s=LOADING_S)

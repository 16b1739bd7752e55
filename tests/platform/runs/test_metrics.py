"""What a worker counts while it runs, seen at the API's `/metrics`."""

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.platform.runs.conftest import Run

pytestmark = pytest.mark.slow

TEXT = """\
treadle: 1
name: two
version: 1.0.0
nodes:
  a: {use: set, with: {x: 1}}
  b: {use: set, with: {x: "${{ a.x }}"}}
"""


async def totals(client: httpx.AsyncClient) -> dict[str, float]:
    text = (await client.get("/metrics")).text
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            # The worker of these tests is no process of its own: its snapshots repeat the API's.
            if not sample.labels.get("process", "").startswith("api:"):
                continue
            name = f"{sample.name} {sample.labels.get('status', '')}".strip()
            found[name] = found.get(name, 0) + sample.value
    return found


async def test_a_run_is_counted_from_claim_to_end(client: httpx.AsyncClient, run: Run) -> None:
    before = await totals(client)
    await run(TEXT)
    after = await totals(client)

    def grown(name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    assert grown("treadle_runs_claimed_total") == 1
    assert grown("treadle_bell_seconds_count") == 1
    assert grown("treadle_commits_total") >= 1
    assert grown("treadle_commit_runs_sum") >= 1
    assert grown("treadle_step_seconds_count succeeded") == 2
    assert grown("treadle_run_seconds_count succeeded") == 1


async def test_usage_counts_the_run_and_its_steps(client: httpx.AsyncClient, run: Run) -> None:
    await run(TEXT)
    (row,) = (await client.get("/v1/usage")).json()["items"]
    assert (row["template"], row["runs"], row["steps"], row["model"]) == ("two", 1, 2, None)

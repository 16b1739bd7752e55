"""The client's calls about triggers and batches, against the real app."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import httpx
import pytest
from fastapi import FastAPI
from tests.platform.conftest import Tenant

from treadle.platform.client import AsyncClient

pytestmark = pytest.mark.slow

GREET = """\
treadle: 1
name: greet
version: 1.0.0
inputs:
  who: {type: string, default: world}
nodes:
  hello: {use: set, with: {text: "Hello ${{ inputs.who }}"}}
outputs: {text: "${{ hello.text }}"}
"""


async def test_schedules_webhooks_hooks_and_batches(app: FastAPI, tenant: Tenant) -> None:
    transport = httpx.ASGITransport(app)
    async with AsyncClient("http://treadle.test", tenant.key, transport=transport) as client:
        agent = await client.create_agent("greeter", GREET, triggers=[{"use": "webhook"}])
        assert agent.triggers[0].secret is not None
        (hook,) = (await client.list_hooks()).items
        assert hook.url == agent.triggers[0].url
        assert (await client.list_hook_events(hook.id)).items == ()

        made = await client.create_schedule("greeter", {"cron": "0 7 * * *"})
        changed = await client.update_schedule(made.id, {"every": "1h", "enabled": False})
        assert (changed.cron, changed.every, changed.enabled) == (None, "1h", False)
        fires = (await client.next_fires(made.id, n=3)).items
        assert [b - a for a, b in pairwise(fires)] == [timedelta(hours=1)] * 2
        now = datetime.now(UTC)
        filled = await client.backfill_schedule(made.id, now - timedelta(minutes=59), now)
        assert len(filled.items) <= 1
        assert (await client.list_fires(made.id)).items == filled.items
        await client.delete_schedule(made.id)
        assert (await client.list_schedules()).items == ()

        webhook = await client.create_webhook("https://example.com/x", events=["run.failed"])
        assert webhook.events == ("run.failed",)
        assert (await client.redeliver(webhook.id)).count == 0
        assert (await client.list_deliveries(webhook.id)).items == ()
        await client.delete_webhook(webhook.id)

        batch = await client.create_batch("greeter", b"who\nAda\nBo\n")
        assert (await client.get_batch(batch.id)).total == 2
        assert (await client.get_batch_results(batch.id)).startswith(b"who,run,status,error,text")

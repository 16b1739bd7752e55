"""The client for asyncio."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta
from typing import Self, TypeVar

import httpx

from treadle.platform.client import calls, trigger_calls
from treadle.platform.client.call import Call, following
from treadle.platform.client.feed import Feed
from treadle.platform.client.method import sends_async
from treadle.platform.client.models import Event, Page, Run
from treadle.platform.client.polling import Polling
from treadle.platform.client.wire import Wire, raise_problem

T = TypeVar("T")


class AsyncClient:
    """Talks to one service with one key. Use it as a context, or close it; see `Client`."""

    list_templates = sends_async(calls.list_templates)
    get_template = sends_async(calls.get_template)
    put_template = sends_async(calls.put_template)
    publish_template = sends_async(calls.publish_template)
    roll_back_template = sends_async(calls.roll_back_template)
    delete_template = sends_async(calls.delete_template)
    validate_template = sends_async(calls.validate_template)

    create_agent = sends_async(calls.create_agent)
    list_agents = sends_async(calls.list_agents)
    get_agent = sends_async(calls.get_agent)
    update_agent = sends_async(calls.update_agent)
    delete_agent = sends_async(calls.delete_agent)

    run_agent = sends_async(calls.run_agent)
    create_run = sends_async(calls.create_run)
    list_runs = sends_async(calls.list_runs)
    get_run = sends_async(calls.get_run)
    list_steps = sends_async(calls.list_steps)
    get_value = sends_async(calls.get_value)
    get_cassette = sends_async(calls.get_cassette)
    cancel_run = sends_async(calls.cancel_run)
    pause_run = sends_async(calls.pause_run)
    resume_run = sends_async(calls.resume_run)
    settle_step = sends_async(calls.settle_step)
    list_approvals = sends_async(calls.list_approvals)
    answer_approval = sends_async(calls.answer_approval)
    call_back = sends_async(calls.call_back)
    list_artifacts = sends_async(calls.list_artifacts)
    get_artifact = sends_async(calls.get_artifact)

    create_schedule = sends_async(trigger_calls.create_schedule)
    list_schedules = sends_async(trigger_calls.list_schedules)
    get_schedule = sends_async(trigger_calls.get_schedule)
    update_schedule = sends_async(trigger_calls.update_schedule)
    delete_schedule = sends_async(trigger_calls.delete_schedule)
    next_fires = sends_async(trigger_calls.next_fires)
    list_fires = sends_async(trigger_calls.list_fires)
    backfill_schedule = sends_async(trigger_calls.backfill_schedule)

    list_hooks = sends_async(trigger_calls.list_hooks)
    list_hook_events = sends_async(trigger_calls.list_hook_events)
    replay_hook_event = sends_async(trigger_calls.replay_hook_event)

    create_webhook = sends_async(trigger_calls.create_webhook)
    list_webhooks = sends_async(trigger_calls.list_webhooks)
    delete_webhook = sends_async(trigger_calls.delete_webhook)
    list_deliveries = sends_async(trigger_calls.list_deliveries)
    redeliver = sends_async(trigger_calls.redeliver)

    create_batch = sends_async(trigger_calls.create_batch)
    get_batch = sends_async(trigger_calls.get_batch)
    get_batch_results = sends_async(trigger_calls.get_batch_results)
    retry_batch = sends_async(trigger_calls.retry_batch)

    upload_file = sends_async(calls.upload_file)
    get_file = sends_async(calls.get_file)

    create_connection = sends_async(calls.create_connection)
    list_connections = sends_async(calls.list_connections)
    delete_connection = sends_async(calls.delete_connection)

    create_key = sends_async(calls.create_key)
    list_keys = sends_async(calls.list_keys)
    delete_key = sends_async(calls.delete_key)

    get_health = sends_async(calls.get_health)
    get_readiness = sends_async(calls.get_readiness)

    def __init__(
        self, url: str, key: str | None = None, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._wire = Wire(url, key)
        self._http = httpx.AsyncClient(transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(self, call: Call[T]) -> T:
        """Send a call and read its answer."""
        attempt = 0
        while True:
            try:
                response = await self._http.send(self._wire.request(self._http, call))
            except httpx.TransportError as error:
                await asyncio.sleep(self._wire.pause_s(call, attempt, error))
                attempt += 1
            else:
                return self._wire.read(call, response)

    async def each(self, call: Call[Page[T]]) -> AsyncGenerator[T, None]:
        """Yield everything of a list: `client.each(calls.list_runs(status="failed"))`."""
        cursor: str | None = ""
        while cursor is not None:
            page = await self.send(following(call, cursor) if cursor else call)
            for item in page.items:
                yield item
            cursor = page.next

    async def wait(self, run_id: str, *, timeout: timedelta | None = None) -> Run:  # noqa: ASYNC109 - as in `Client`
        """Wait until a run has ended.

        Raises:
            RunStillGoing: It has not in this time.
        """
        polling = Polling(timeout)
        while True:
            run = await self.get_run(run_id)
            if run.has_ended:
                return run
            await asyncio.sleep(polling.pause_s(run))

    async def events(self, run_id: str, *, after: int | None = None) -> AsyncGenerator[Event, None]:
        """Yield a run's events until its last; a broken connection is resumed where it broke."""
        feed = Feed(run_id, after=after)
        while not feed.has_ended:
            broken: httpx.TransportError | None = None
            try:
                async with aclosing(self._connected(feed)) as connected:
                    async for event in connected:
                        yield event
            except httpx.TransportError as error:
                broken = error
            if not feed.has_ended:
                await asyncio.sleep(feed.pause_s(self._wire, broken))

    async def _connected(self, feed: Feed) -> AsyncGenerator[Event, None]:
        request = self._wire.request(self._http, feed.call())
        response = await self._http.send(request, stream=True)
        try:
            if response.is_error:
                await response.aread()
                raise_problem(response)
            async for line in response.aiter_lines():
                event = feed.take(line)
                if event is not None:
                    yield event
        finally:
            await response.aclose()

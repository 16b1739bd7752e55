"""The blocking client."""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Self, TypeVar

import httpx

from treadle.platform.client import calls, trigger_calls
from treadle.platform.client.call import Call, following
from treadle.platform.client.feed import Feed
from treadle.platform.client.method import sends
from treadle.platform.client.models import Event, Page, Run
from treadle.platform.client.polling import Polling
from treadle.platform.client.wire import Wire, raise_problem

T = TypeVar("T")


class Client:
    """Talks to one service with one key. Use it as a context, or close it.

    Every method of the API raises `ApiError` and `Unreachable`; calls that do the same when sent
    twice are sent again when a connection breaks.
    """

    list_templates = sends(calls.list_templates)
    get_template = sends(calls.get_template)
    put_template = sends(calls.put_template)
    publish_template = sends(calls.publish_template)
    roll_back_template = sends(calls.roll_back_template)
    delete_template = sends(calls.delete_template)
    validate_template = sends(calls.validate_template)

    create_agent = sends(calls.create_agent)
    list_agents = sends(calls.list_agents)
    get_agent = sends(calls.get_agent)
    update_agent = sends(calls.update_agent)
    delete_agent = sends(calls.delete_agent)

    run_agent = sends(calls.run_agent)
    create_run = sends(calls.create_run)
    list_runs = sends(calls.list_runs)
    get_run = sends(calls.get_run)
    list_steps = sends(calls.list_steps)
    get_value = sends(calls.get_value)
    get_cassette = sends(calls.get_cassette)
    cancel_run = sends(calls.cancel_run)
    pause_run = sends(calls.pause_run)
    resume_run = sends(calls.resume_run)
    settle_step = sends(calls.settle_step)
    list_approvals = sends(calls.list_approvals)
    answer_approval = sends(calls.answer_approval)
    call_back = sends(calls.call_back)
    list_artifacts = sends(calls.list_artifacts)
    get_artifact = sends(calls.get_artifact)

    create_schedule = sends(trigger_calls.create_schedule)
    list_schedules = sends(trigger_calls.list_schedules)
    get_schedule = sends(trigger_calls.get_schedule)
    update_schedule = sends(trigger_calls.update_schedule)
    delete_schedule = sends(trigger_calls.delete_schedule)
    next_fires = sends(trigger_calls.next_fires)
    list_fires = sends(trigger_calls.list_fires)
    backfill_schedule = sends(trigger_calls.backfill_schedule)

    list_hooks = sends(trigger_calls.list_hooks)
    list_hook_events = sends(trigger_calls.list_hook_events)
    replay_hook_event = sends(trigger_calls.replay_hook_event)

    create_webhook = sends(trigger_calls.create_webhook)
    list_webhooks = sends(trigger_calls.list_webhooks)
    delete_webhook = sends(trigger_calls.delete_webhook)
    list_deliveries = sends(trigger_calls.list_deliveries)
    redeliver = sends(trigger_calls.redeliver)

    create_batch = sends(trigger_calls.create_batch)
    get_batch = sends(trigger_calls.get_batch)
    get_batch_results = sends(trigger_calls.get_batch_results)
    retry_batch = sends(trigger_calls.retry_batch)

    upload_file = sends(calls.upload_file)
    get_file = sends(calls.get_file)

    create_connection = sends(calls.create_connection)
    list_connections = sends(calls.list_connections)
    delete_connection = sends(calls.delete_connection)

    create_key = sends(calls.create_key)
    list_keys = sends(calls.list_keys)
    delete_key = sends(calls.delete_key)

    get_health = sends(calls.get_health)
    get_readiness = sends(calls.get_readiness)

    def __init__(
        self, url: str, key: str | None = None, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._wire = Wire(url, key)
        self._http = httpx.Client(transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, call: Call[T]) -> T:
        """Send a call and read its answer."""
        attempt = 0
        while True:
            try:
                response = self._http.send(self._wire.request(self._http, call))
            except httpx.TransportError as error:
                time.sleep(self._wire.pause_s(call, attempt, error))
                attempt += 1
            else:
                return self._wire.read(call, response)

    def each(self, call: Call[Page[T]]) -> Iterator[T]:
        """Yield everything of a list: `client.each(calls.list_runs(status="failed"))`."""
        cursor: str | None = ""
        while cursor is not None:
            page = self.send(following(call, cursor) if cursor else call)
            yield from page.items
            cursor = page.next

    def wait(self, run_id: str, *, timeout: timedelta | None = None) -> Run:
        """Wait until a run has ended.

        Raises:
            RunStillGoing: It has not in this time.
        """
        polling = Polling(timeout)
        while True:
            run = self.get_run(run_id)
            if run.has_ended:
                return run
            time.sleep(polling.pause_s(run))

    def events(self, run_id: str, *, after: int | None = None) -> Iterator[Event]:
        """Yield a run's events until its last; a broken connection is resumed where it broke."""
        feed = Feed(run_id, after=after)
        while not feed.has_ended:
            broken: httpx.TransportError | None = None
            try:
                yield from self._connected(feed)
            except httpx.TransportError as error:
                broken = error
            if not feed.has_ended:
                time.sleep(feed.pause_s(self._wire, broken))

    def _connected(self, feed: Feed) -> Iterator[Event]:
        request = self._wire.request(self._http, feed.call())
        response = self._http.send(request, stream=True)
        try:
            if response.is_error:
                response.read()
                raise_problem(response)
            for line in response.iter_lines():
                event = feed.take(line)
                if event is not None:
                    yield event
        finally:
            response.close()

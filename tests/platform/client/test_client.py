import asyncio
from http import HTTPStatus

import pytest
from tests.platform.client.feed_server import EVENTS, FeedServer, serving

from treadle.platform.client import ApiError, AsyncClient, Client, Event, Unreachable, calls
from treadle.platform.embedded.sockets import free_port

KINDS = [kind for kind, _ in EVENTS]


async def test_a_broken_feed_is_resumed_where_it_broke() -> None:
    server = FeedServer(breaks_after=2)
    async with serving(server.app()) as url, AsyncClient(url) as client:
        events = [event async for event in client.events("r1")]
    assert [event.type for event in events if event.id is not None] == KINDS
    assert [event.id for event in events if event.id is not None] == [1, 2, 3, 4, 5]
    assert server.resumed_after == [None, "2", "4"]


async def test_both_clients_read_the_same_events() -> None:
    server = FeedServer(breaks_after=3)

    def read(url: str) -> list[Event]:
        with Client(url) as client:
            return list(client.events("r1"))

    async with serving(server.app()) as url, AsyncClient(url) as client:
        awaited = [event async for event in client.events("r1")]
        blocking = await asyncio.to_thread(read, url)
    assert blocking == awaited
    assert [event.body["text"] for event in blocking if event.type == "step.delta"] == ["hi"]


async def test_a_feed_begins_after_a_known_event() -> None:
    server = FeedServer(breaks_after=9)
    async with serving(server.app()) as url, AsyncClient(url) as client:
        events = [event async for event in client.events("r1", after=3)]
    assert [event.type for event in events] == ["step.succeeded", "run.succeeded"]
    assert events[0].node == "greet"


async def test_a_problem_becomes_an_error_with_its_code_and_issues() -> None:
    async with serving(FeedServer(1).app()) as url, AsyncClient(url) as client:
        with pytest.raises(ApiError) as caught:
            await client.get_run("r1")
    assert caught.value.status is HTTPStatus.UNPROCESSABLE_ENTITY
    assert caught.value.code == "inputs_invalid"
    assert [(issue.path, issue.message) for issue in caught.value.issues] == [
        ("inputs.a", "is required")
    ]


async def test_an_answer_of_something_else_is_named() -> None:
    async with serving(FeedServer(1).app()) as url, AsyncClient(f"{url}/v1/strange?") as client:
        with pytest.raises(ApiError, match="<html>"):
            await client.get_health()


@pytest.mark.slow
def test_nothing_at_the_url_says_what_to_do() -> None:
    with (
        Client(f"http://127.0.0.1:{free_port()}") as client,
        pytest.raises(Unreachable, match="treadle up"),
    ):
        client.get_health()


def test_a_creating_call_keeps_its_idempotency_key() -> None:
    call = calls.create_run("greet", {})
    assert call.is_repeatable
    assert (
        call.headers["Idempotency-Key"] != calls.create_run("greet", {}).headers["Idempotency-Key"]
    )


def test_names_cannot_leave_their_place_in_the_path() -> None:
    assert calls.get_template("../keys?x=1").path == "/v1/templates/..%2Fkeys%3Fx%3D1"

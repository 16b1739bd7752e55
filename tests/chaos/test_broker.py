"""The broker only carries bells: without it, or with nonsense in it, every run goes on."""

# redis leaves parts of its signatures untyped.
# pyright: reportUnknownMemberType=false

import base64
import json
import random
import socket
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest
import redis
from tests.chaos.load import Load
from tests.chaos.world import World
from tests.platform.supervisor.installation import wait_until

from treadle.platform.embedded.wheels import valkey_binary
from treadle.platform.jobs import QUEUE

RETURNS_WITHIN_S = 60.0
DOWN_S = 60.0


@pytest.fixture
def broker(around: World) -> Iterator[redis.Redis]:
    client: redis.Redis = redis.Redis.from_url(around.service.record.redis_url)
    yield client
    client.close()


def is_back(around: World) -> bool:
    try:
        with redis.Redis.from_url(around.service.record.redis_url) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def test_a_broker_that_restarts_and_forgets_loses_nothing(around: World, *, is_full: bool) -> None:
    load = Load(around)
    for _ in range(20 if is_full else 1):
        load.add()
        around.replaced("valkey", around.kill("valkey"))
        wait_until(lambda: is_back(around), "the broker is back")
    assert load.verdict() == []


@pytest.mark.chaos
def test_a_flushed_broker_loses_nothing(
    around: World, broker: redis.Redis, chance: random.Random
) -> None:
    load = Load(around)
    for _ in range(20):
        load.add()
        time.sleep(chance.uniform(0, 0.5))
        broker.flushall()
    assert load.verdict() == []


@pytest.mark.chaos
def test_runs_are_accepted_and_move_while_the_broker_is_down(around: World) -> None:
    """The supervisor would start it again, so something else sits on its port meanwhile."""
    load = Load(around)
    load.add()
    record = around.service.record
    port = int(record.redis_url.rsplit(":", 1)[1].split("/")[0])
    with Squatter(port, around):
        until = time.monotonic() + DOWN_S
        while time.monotonic() < until:
            load.add()
            time.sleep(5)
    assert load.verdict(within_s=RETURNS_WITHIN_S) == []


@pytest.mark.chaos
def test_an_empty_broker_in_place_of_the_old_one_changes_nothing(around: World) -> None:
    record = around.service.record
    url = record.redis_url
    port, password = int(url.rsplit(":", 1)[1].split("/")[0]), url.split(":")[2].split("@")[0]
    load = Load(around)
    load.add()
    with Squatter(port, around):
        pass
    command = [str(valkey_binary()), "--port", str(port), "--requirepass", password]
    with subprocess.Popen([*command, "--bind", "127.0.0.1", "--save", ""], cwd="/tmp") as other:  # noqa: S108 - keeps nothing there
        load.add()
        problems = load.verdict()
        other.terminate()
    assert problems == []
    wait_until(lambda: is_back(around), "the old one is back")


class Squatter:
    """Kills the broker and keeps its port taken, in a `with` block."""

    def __init__(self, port: int, around: World) -> None:
        self._port = port
        self._around = around
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    def __enter__(self) -> None:
        until = time.monotonic() + 30
        while True:
            self._around.kill("valkey")
            try:
                self._socket.bind(("127.0.0.1", self._port))
            except OSError:
                assert time.monotonic() < until, "the port is never free"
                continue
            return

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def test_doubled_reordered_late_and_malformed_messages_change_nothing(
    around: World, broker: redis.Redis, chance: random.Random
) -> None:
    ended = threading.Event()
    disturbing = threading.Thread(target=disturb, args=(broker, chance, ended))
    disturbing.start()
    load = Load(around)
    for _ in range(2):
        load.add()
    problems = load.verdict()
    ended.set()
    disturbing.join()
    assert problems == []
    assert broker.llen("pocket"), "no message was disturbed"
    for _ in range(3):  # the same bells, long after: their runs have ended
        broker.lpush(QUEUE, *kept(broker, chance))
    load.add()
    assert load.verdict() == []


def disturb(broker: redis.Redis, chance: random.Random, ended: threading.Event) -> None:
    """Take messages out; put them back later, five times, in another order, with nonsense."""
    pocket: list[bytes] = []
    bell = b""  # the first, which is none of the nonsense
    while not ended.wait(0.02):
        # Waiting, as the worker does, and longer than it: who has waited longest gets the next one.
        taken = broker.brpop([QUEUE], timeout=0.5)
        if taken is not None and isinstance(message := taken[1], bytes):
            pocket.append(message)
            bell = bell or message
            broker.lpush("pocket", message)
        if len(pocket) > 3 or (pocket and chance.random() < 0.2):
            again = pocket * 5
            chance.shuffle(again)
            broker.lpush(QUEUE, *again, *nonsense(bell))
            pocket.clear()
    if pocket:
        broker.lpush(QUEUE, *pocket)


def kept(broker: redis.Redis, chance: random.Random) -> list[bytes]:
    found = [one for one in broker.lrange("pocket", 0, -1) if isinstance(one, bytes)]
    chance.shuffle(found)
    return found


def nonsense(message: bytes) -> list[bytes]:
    """What no worker can read, and what one of another version might have sent."""
    whole = json.loads(message)
    other_task = {**whole, "headers": {**whole["headers"], "task": "treadle.of_another_version"}}
    body = json.dumps([[{"runs": [1]}], {}, {}])
    other_body = {**whole, "body": base64.b64encode(body.encode()).decode()}
    no_base64 = {**whole, "body": body}
    no_id = {**whole, "headers": {"task": whole["headers"]["task"]}}
    wrong: list[object] = [other_task, other_body, no_base64, no_id, {}, [], None]
    return [*(json.dumps(one).encode() for one in wrong), message[:-7], b"\xff\xfe"]

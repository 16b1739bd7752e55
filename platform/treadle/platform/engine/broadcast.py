"""Speaking and listening on Redis channels without ever holding anybody up.

What cannot be sent is dropped, what was missed is gone: nothing may depend on it.
"""

# redis-py leaves the types of its options and messages open:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from treadle.platform.log import get_log
from treadle.platform.loops import keep_going

MOST_PENDING = 10_000
_PAUSE_S = 0.5
_TOGETHER = 64

log = get_log(__name__)


def open_redis(url: str) -> Redis:
    """A client that gives up soon: no caller can wait for it."""
    return Redis.from_url(url, socket_connect_timeout=2, socket_keepalive=True)


class Speaker:
    """Publishes messages in order, from one task."""

    def __init__(self, url: str) -> None:
        self._redis = open_redis(url)
        self._messages: asyncio.Queue[tuple[str, str]] = asyncio.Queue(MOST_PENDING)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to speak, on the running loop."""
        self._task = keep_going(self._work, name="speaker")

    async def stop(self) -> None:
        """Give what is pending a moment, then stop."""
        if self._task is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._messages.join()
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._redis.aclose()

    def say(self, channel: str, message: str) -> None:
        """Publish soon, or drop it."""
        with suppress(asyncio.QueueFull):
            self._messages.put_nowait((channel, message))

    async def _work(self) -> None:
        while True:
            messages = [await self._messages.get()]
            while len(messages) < _TOGETHER and not self._messages.empty():
                messages.append(self._messages.get_nowait())
            try:
                async with asyncio.timeout(2):
                    await self._publish(messages)
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("speaker.broken", reason=str(error))
                await asyncio.sleep(_PAUSE_S)
            finally:
                for _ in messages:
                    self._messages.task_done()

    async def _publish(self, messages: Sequence[tuple[str, str]]) -> None:
        """Publish in order; several as one write, which costs little more than one."""
        if len(messages) == 1:
            await self._redis.publish(*messages[0])
            return
        together = self._redis.pipeline(transaction=False)
        for channel, message in messages:
            together.publish(channel, message)
        await together.execute()


Hearer = Callable[[bytes], None]


class Listener:
    """Hears any number of channels over one connection; hearers must be quick and not raise."""

    def __init__(self, url: str) -> None:
        self._redis = open_redis(url)
        self._pubsub: PubSub | None = None
        self._hearers: defaultdict[str, list[Hearer]] = defaultdict(list)
        self._task: asyncio.Task[None] | None = None
        self.is_connected = False

    def start(self) -> None:
        """Begin to listen, on the running loop."""
        self._task = keep_going(self._work, name="listener")

    async def stop(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._redis.aclose()

    def hear(self, channel: str, hearer: Hearer) -> None:
        """Call `hearer` with each message of a channel. Before `start` only, or via `join`."""
        self._hearers[channel].append(hearer)

    async def join(self, channel: str, hearer: Hearer) -> None:
        """Begin to hear a channel while listening."""
        self.hear(channel, hearer)
        if self._pubsub is not None and len(self._hearers[channel]) == 1:
            with suppress(RedisError, OSError):
                await self._pubsub.subscribe(channel)

    async def leave(self, channel: str, hearer: Hearer) -> None:
        """Stop hearing a channel."""
        self._hearers[channel].remove(hearer)
        if not self._hearers[channel]:
            del self._hearers[channel]
            if self._pubsub is not None:
                with suppress(RedisError, OSError):
                    await self._pubsub.unsubscribe(channel)

    async def _work(self) -> None:
        while True:
            try:
                await self._listen()
            except (RedisError, OSError) as error:
                log.warning("listener.broken", reason=str(error))
            finally:
                self.is_connected = False
            await asyncio.sleep(_PAUSE_S)

    async def _listen(self) -> None:
        async with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
            await pubsub.subscribe(*self._hearers)
            self._pubsub = pubsub
            self.is_connected = True
            async for message in pubsub.listen():
                for hearer in tuple(self._hearers.get(message["channel"].decode(), ())):
                    hearer(message["data"])

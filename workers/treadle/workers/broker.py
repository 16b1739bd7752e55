"""Kombu's way to Valkey, for a worker that outlives whatever lies in its queue.

Kombu lets an unreadable message end the process that took it: its base64, its JSON or a header is
wrong, and what is raised leaves Celery's loop. Such a message is dropped here, with a warning.
"""

# Kombu's stubs leave out how a channel reads.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import json
from queue import Empty
from typing import cast

from kombu.transport import redis, virtual
from kombu.transport.virtual import Channel

from treadle.platform.log import get_log

TRANSPORT = f"{__name__}:BellTransport"
"""Celery's `broker_transport`."""

_CONTENT_TYPE = "application/json"

log = get_log(__name__)


class UnreadableBell(ValueError):
    """A message that cannot be a bell, whatever its task is."""


class BellMessage(virtual.Message):
    """A message whose parts are known to be what Celery takes them for."""

    def __init__(
        self, payload: dict[str, object], channel: Channel | None = None, **options: object
    ) -> None:
        try:
            super().__init__(payload, channel=channel, **options)
            _check(self.body, self.headers, self.content_type)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise UnreadableBell(f"{type(error).__name__}: {error}") from error


class BellChannel(redis.Channel):
    """A channel that goes on after what it cannot read."""

    Message = BellMessage
    do_restore = False  # what was refused would come back with the next connection

    def _brpop_read(self, **options: object) -> object:
        try:
            # kombu's private method, in none of its stubs.
            return super()._brpop_read(**options)  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
        except (UnreadableBell, json.JSONDecodeError, UnicodeDecodeError) as error:
            log.warning("bell.unreadable", reason=str(error))
            return True  # it was taken from the queue, and nobody waits for an answer
        except Exception as error:
            if isinstance(error, (Empty, *_HANDLED)):
                raise
            log.exception("bell.refused")
            # It may hold the channel's one place by now: a new connection frees that.
            raise ConnectionError("a message was refused; connecting anew") from error


class BellTransport(redis.Transport):
    """Valkey as Redis, with the channels above."""

    Channel = BellChannel


_HANDLED = (*BellTransport.connection_errors, *BellTransport.channel_errors)
"""After these Celery connects anew."""


def _check(body: object, headers: object, content_type: object) -> None:
    if content_type != _CONTENT_TYPE:
        raise UnreadableBell(f"its content type is {content_type!r} and not {_CONTENT_TYPE}")
    if not isinstance(headers, dict):
        raise UnreadableBell("its headers are no object")
    named = cast("dict[str, object]", headers)
    for name in ("task", "id"):
        if not isinstance(named.get(name), str):
            raise UnreadableBell(f"its header {name!r} is no text")
    if not isinstance(body, str | bytes):
        raise UnreadableBell("its body is no text")
    match json.loads(body):
        case [list(), dict(), dict() | None]:
            return
        case _:
            raise UnreadableBell("its body is not a list of arguments, keywords and options")

"""What comes for a run from outside while a worker has it: answers, ended children, a pause."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from treadle.agents.ports import Answer
from treadle.agents.values import JsonObject, JsonValue
from treadle.platform.engine import wait_statements
from treadle.platform.engine.connections import EngineConnection
from treadle.platform.engine.ids import RunId
from treadle.platform.engine.leases import Lease


@dataclass(frozen=True, slots=True)
class Letters:
    """All that has come for a run, up to a number of signals.

    Attributes:
        children: Runs that it started for open waits; `at` is when they ended, if they did.
    """

    id: RunId
    signals: int
    is_paused: bool
    answers: list[JsonObject] | None
    children: list[JsonObject] | None


async def fetch_letters(
    connection: EngineConnection, runs: Sequence[RunId], *, seen: Sequence[int]
) -> list[Letters]:
    """What came for those of these runs that have signals beyond those seen."""
    return await connection.fetch(
        wait_statements.LETTERS, (list(runs), list(seen)), row=class_row(Letters)
    )


class Inbox:
    """Answers for one run, by the wait's id; they may come before anybody waits."""

    def __init__(self) -> None:
        self._answers: dict[str, asyncio.Future[Answer]] = {}
        self._started: set[str] = set()

    async def answer(self, wait: str) -> Answer:
        """Return when there is an answer."""
        return await asyncio.shield(self._future(wait))

    def has_child(self, run: str) -> bool:
        """Whether a child is known to have been started."""
        return run in self._started

    def deliver(self, letters: Letters) -> None:
        """Hand over what came; what came twice is there once."""
        for one in letters.answers or ():
            self._put(str(one["id"]), _answer(one["value"], one))
        for child in letters.children or ():
            self._started.add(str(child["id"]))
            if child["at"] is not None:
                end = {name: child[name] for name in ("status", "outputs", "error")}
                self._put(str(child["id"]), _answer(end, child))

    def _put(self, wait: str, answer: Answer) -> None:
        future = self._future(wait)
        if not future.done():
            future.set_result(answer)

    def _future(self, wait: str) -> "asyncio.Future[Answer]":
        if wait not in self._answers:
            self._answers[wait] = asyncio.get_running_loop().create_future()
        return self._answers[wait]


def _answer(value: JsonValue, row: JsonObject) -> Answer:
    by = row.get("by")
    return Answer(
        value=value,
        at=datetime.fromisoformat(str(row["at"])),
        by=by if isinstance(by, str) else None,
        in_time=row.get("in_time") is not False,
    )


@dataclass(frozen=True, slots=True)
class Recipient:
    """A run that is here: where its letters go, and how it is paused."""

    lease: Lease
    inbox: Inbox
    pause: Callable[[], None]

    def take(self, letters: Letters) -> None:
        """Read the letters."""
        self.lease.signals = max(self.lease.signals, letters.signals)
        self.inbox.deliver(letters)
        if letters.is_paused:
            self.pause()


class Postman:
    """Brings the letters of the runs that are here."""

    def __init__(self, connection: EngineConnection) -> None:
        self._connection = connection

    async def deliver(self, recipients: Iterable[Recipient]) -> None:
        """Fetch what is new for these runs. Raises `DatabaseAway`."""
        known = {one.lease.run: one for one in recipients if not one.lease.claims}
        if not known:
            return
        seen = [one.lease.signals for one in known.values()]
        for letters in await fetch_letters(self._connection, list(known), seen=seen):
            known[letters.id].take(letters)


@dataclass(frozen=True, slots=True)
class Expired:
    """How a wait ended whose time was over."""

    id: UUID
    answer: JsonValue
    answered_by: str | None
    answered_at: datetime
    timed_out: bool

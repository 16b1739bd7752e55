"""Doubles of those who are waited for, and a clock that a test moves."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.agents.interpreter.doubles import VirtualClock
from typing_extensions import override

from treadle.agents.errors import InputsInvalid, Issue
from treadle.agents.ports import Answer, ChildOrder, Wait
from treadle.agents.values import JsonValue


class HeldClock(VirtualClock):
    """Time that passes only when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.time: datetime
        self._sleeping: list[tuple[datetime, asyncio.Future[None]]] = []

    @override
    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleeping.append((self.time + timedelta(seconds=seconds), future))
        await future

    def advance(self, **passed: float) -> None:
        self.time += timedelta(**passed)
        for moment, future in self._sleeping:
            if moment <= self.time and not future.done():
                future.set_result(None)


@dataclass
class MemoryWaits:
    """Answers by path; one that came stays, over restarts."""

    clock: HeldClock
    answers: dict[str, Answer] = field(default_factory=dict[str, Answer])
    opened: dict[str, Wait] = field(default_factory=dict[str, Wait])
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, wait: Wait) -> Answer:
        self.opened[wait.path] = wait
        self._news.set()
        while wait.path not in self.answers:
            self._news.clear()
            await self._news.wait()
        return self.answers[wait.path]

    async def expire(self, wait: Wait) -> Answer:
        timed_out = Answer(None, self.clock.now(), in_time=False)
        return self.answers.setdefault(wait.path, timed_out)

    def page(self, wait: Wait) -> str:
        return f"https://treadle.example/a/{wait.id}"

    def give(self, path: str, value: JsonValue, *, by: str | None = None) -> None:
        """Answer a wait; the first answer stays."""
        self.answers.setdefault(path, Answer(value, self.clock.now(), by=by))
        self._news.set()

    async def until_open(self, *paths: str) -> None:
        async with asyncio.timeout(60):
            while not self.opened.keys() >= set(paths):  # noqa: ASYNC110 - seldom asked for
                await asyncio.sleep(0.001)


@dataclass
class MemoryChildren:
    """Notes what was started; refuses inputs named `wrong`."""

    started: dict[str, ChildOrder] = field(default_factory=dict[str, ChildOrder])

    async def check(self, order: ChildOrder) -> None:
        if "wrong" in order.inputs:
            raise InputsInvalid([Issue("error", "inputs.wrong", None, None, "unknown input")])

    async def start(self, order: ChildOrder) -> None:
        self.started.setdefault(order.id, order)

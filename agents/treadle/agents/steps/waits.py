"""Waiting for somebody: the one way in which a step waits, whatever for.

A wait is an entry of the ledger (`call.waiting` at the step's path); its answer is another one.
While anything else in the run works the step listens in memory. When nothing does it stops
listening, the run parks, and whoever takes it up next finds the wait in the ledger and goes on.

The listening lasts a moment longer than the work, so that what is answered at once (a short timer,
a quick child run) costs no parking.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from treadle.agents.errors import Blocked, StepWaits
from treadle.agents.ports import Answer, StepRecord, StepStatus, Wait, WaitKind
from treadle.agents.steps.gate import Closed
from treadle.agents.steps.turn import Turn
from treadle.agents.values import JsonObject, JsonValue

ANSWER = "answer"
_IDS = UUID("6f1c9a52-7f0b-4f3e-9c59-2f6a3cf1d2a7")  # any: ids of waits are made in this namespace
_GIVEN_UP = frozenset({Closed.FAILURE, Closed.TIMEOUT})


@dataclass(frozen=True, slots=True)
class Ask:
    """What is waited for.

    Attributes:
        asked: What the one who answers gets to see; kept beside the log.
        status: Of the step meanwhile.
    """

    kind: WaitKind
    until: datetime | None = None
    asked: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    status: StepStatus = StepStatus.WAITING


def answered(turn: Turn, name: str = ANSWER) -> Answer | None:
    """The answer that the ledger has."""
    entry = turn.entry(name)
    return None if entry is None else _read_answer(entry)


def is_open(turn: Turn, name: str = ANSWER) -> Wait | None:
    """The wait that an earlier owner of the run opened and nobody has closed."""
    entry = turn.journal.earlier(turn.path, call=name)
    if entry is None or entry.status is not StepStatus.WAITING:
        return None
    return _read_wait(entry)


def open_wait(turn: Turn, ask: Ask, name: str = ANSWER) -> Wait:
    """Enter a new wait into the ledger."""
    run = turn.run.facts.id
    wait = Wait(
        kind=ask.kind,
        id=_wait_id(run, f"{turn.path} {name}"),
        node=turn.frame.node_path(turn.node.id),
        path=turn.path,
        until=ask.until,
    )
    step = turn.record(ask.status)
    entry = replace(
        step,
        status=StepStatus.WAITING,
        call=name,
        extra={"wait": _wait_json(wait), "asked": dict(ask.asked)},
    )
    turn.journal.append(step, entry)
    return wait


def _wait_id(run: str, place: str) -> str:
    """The same for the same place, with the run's time in front (a UUID of version 8).

    A child run has this id: it sorts, is stored and grows old with its parent.
    """
    digest = uuid5(_IDS, f"{run} {place}").int & (1 << 80) - 1 & ~(0xF << 76)
    try:
        time = UUID(run).int >> 80 << 80
    except ValueError:  # runs of template tests have names
        time = 0
    return str(UUID(int=time | 0x8 << 76 | digest))


async def listen(turn: Turn, wait: Wait, name: str = ANSWER) -> Answer:
    """The answer of an open wait, once it comes, entered into the ledger.

    Raises `StepWaits` when the run parks, `Blocked` when the gate closes.
    """
    place = turn.frame.place
    try:
        with turn.frame.gate.waiting():
            answer = await _first(turn, wait)
            if place is not None:
                await place.take_again()
    except Blocked:
        if turn.frame.gate.reason in _GIVEN_UP:
            _close(turn, wait, name)
        raise
    except StepWaits:
        turn.run.waits.append(wait)
        raise
    _enter_answer(turn, wait, answer, name)
    return answer


async def ask_for(turn: Turn, ask: Callable[[], Ask], name: str = ANSWER) -> Answer:
    """The answer, from the ledger or from outside; `ask` is called if the wait is new."""
    known = answered(turn, name)
    if known is not None:
        return known
    wait = is_open(turn, name) or open_wait(turn, ask(), name)
    return await listen(turn, wait, name)


async def _first(turn: Turn, wait: Wait) -> Answer:
    """The answer, the end of its time, or the end of listening: whichever comes first."""
    answer = asyncio.ensure_future(turn.ports.waits.answer(wait))
    given_up = turn.run.quiet.listening()
    racing: list[asyncio.Future[Any]] = [answer, given_up]  # Any: of different results
    timer: asyncio.Task[None] | None = None
    if wait.until is not None:
        timer = asyncio.ensure_future(_until(turn, wait.until))
        racing.append(timer)
    try:
        await asyncio.wait(racing, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in racing:
            one.cancel()
    if answer.done() and not answer.cancelled():
        return answer.result()
    if timer is not None and timer.done() and not timer.cancelled():
        return await turn.ports.waits.expire(wait)
    raise StepWaits


async def _until(turn: Turn, moment: datetime) -> None:
    clock = turn.ports.clock
    left = (moment - clock.now()).total_seconds()
    while left > 0:
        await clock.sleep(left)
        left = (moment - clock.now()).total_seconds()


def _enter_answer(turn: Turn, wait: Wait, answer: Answer, name: str) -> None:
    entry = replace(
        turn.record(StepStatus.SUCCEEDED),
        output=answer.value,
        extra={
            "wait": _wait_json(wait),
            "at": answer.at.isoformat(),
            "by": answer.by,
            "in_time": answer.in_time,
        },
    )
    turn.append_call(name, entry)


def _close(turn: Turn, wait: Wait, name: str) -> None:
    """Take a wait back that nobody needs to answer any more."""
    step = turn.record(StepStatus.CANCELLED)
    entry = replace(step, call=name, extra={"wait": _wait_json(wait)})
    turn.journal.append(entry, step)


def _wait_json(wait: Wait) -> JsonObject:
    return {
        "kind": wait.kind.value,
        "id": wait.id,
        "until": None if wait.until is None else wait.until.isoformat(),
    }


def _read_wait(entry: StepRecord) -> Wait:
    found = entry.extra["wait"]
    assert isinstance(found, dict)  # noqa: S101 - written by `_wait_json`
    until = found["until"]
    return Wait(
        kind=WaitKind(str(found["kind"])),
        id=str(found["id"]),
        node=entry.node,
        path=entry.path,
        until=datetime.fromisoformat(until) if isinstance(until, str) else None,
    )


def _read_answer(entry: StepRecord) -> Answer:
    by = entry.extra.get("by")
    return Answer(
        value=entry.output,
        at=datetime.fromisoformat(str(entry.extra["at"])),
        by=by if isinstance(by, str) else None,
        in_time=entry.extra.get("in_time") is not False,
    )

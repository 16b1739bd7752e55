"""What wakes a follower of a run."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

from treadle.agents.values import JsonObject
from treadle.platform.engine.hints import Hint
from treadle.platform.engine.ids import RunId
from treadle.platform.runs.feeds import Watch

RUN = RunId(uuid4())


def hint(seq: int, *kinds: str) -> Hint:
    entries: list[JsonObject] = [{"t": kind} for kind in kinds]
    return Hint(RUN, seq, datetime.now(UTC), entries, None)


async def is_woken(watch: Watch) -> bool:
    try:
        async with asyncio.timeout(0.01):
            await watch.wait()
    except TimeoutError:
        return False
    return True


async def test_who_wants_the_end_is_woken_by_nothing_else() -> None:
    watch = Watch(is_patient=True)
    watch.tell(hint(1, "run.started"))
    watch.tell(hint(2, "step.running"))
    assert not await is_woken(watch)
    watch.tell(hint(3, "step.succeeded", "run.succeeded"))
    assert await is_woken(watch)
    assert [row.seq for row in watch.take(1) or ()] == [2, 3, 4, 5]


async def test_a_hint_without_entries_may_be_the_end() -> None:
    watch = Watch(is_patient=True)
    watch.tell(Hint(RUN, 0, datetime.now(UTC), None, None))
    assert await is_woken(watch)
    assert watch.take(1) is None


async def test_others_are_woken_by_everything() -> None:
    watch = Watch()
    watch.tell(hint(1, "run.started"))
    assert await is_woken(watch)


async def test_a_gap_sends_the_follower_to_the_log() -> None:
    watch = Watch(is_patient=True)
    watch.tell(hint(3, "run.succeeded"))
    assert watch.take(1) is None

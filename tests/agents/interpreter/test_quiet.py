"""An item's place: free while the item only waits, and never lost between its steps."""

import asyncio

import uvloop

from treadle.agents.steps.gate import Gate
from treadle.agents.steps.quiet import Place, WorkingTime


async def test_steps_of_one_item_that_wait_at_once_get_its_place_one_after_the_other() -> None:
    places = asyncio.Semaphore(1)
    await places.acquire()
    gate = Gate()
    place = Place(places, outer=None)
    place.follow(gate)
    answered = asyncio.Event()

    async def wait_for_answer() -> None:
        with gate.waiting():
            await answered.wait()
            await place.take_again()

    async with asyncio.timeout(5), asyncio.TaskGroup() as steps:
        steps.create_task(wait_for_answer())
        steps.create_task(wait_for_answer())
        await places.acquire()  # another item, as soon as this one gave way
        answered.set()
        await asyncio.sleep(0.01)
        places.release()
    place.leave()
    assert not places.locked()


def test_a_time_that_is_over_at_once_can_stand_still() -> None:
    """On uvloop the timer of a moment that is here has no time of its own."""

    async def wait_within_no_time() -> None:
        gate = Gate()
        working = WorkingTime(gate, 0.0, on_over=lambda: None)
        with gate.waiting():
            assert gate.is_quiet
        working.stop()

    uvloop.run(wait_within_no_time())

"""An item's place: free while the item only waits, and never lost between its steps."""

import asyncio

from treadle.agents.steps.gate import Gate
from treadle.agents.steps.quiet import Place


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

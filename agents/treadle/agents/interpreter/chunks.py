"""Many items at once, in order, in chunks that are LangGraph runs of their own.

LangGraph's nested tasks of one entrypoint search one growing list of writes, so that each item
would cost more than the one before; a chunk keeps that list short. The next chunk opens as soon as
the last item of the one before has begun: chunks are no barrier.
"""

import asyncio
from dataclasses import dataclass, field

from treadle.agents.steps.dataflow import as_entrypoint
from treadle.agents.steps.items import Items
from treadle.agents.steps.quiet import Place

CHUNK = 256


@dataclass(frozen=True, slots=True)
class _Chunk:
    items: Items
    indexes: range
    all_begun: asyncio.Event = field(default_factory=asyncio.Event)


async def run_items(items: Items) -> None:
    """Run all items; those not begun when the gate closes are left out."""
    async with asyncio.TaskGroup() as chunks:
        for first in range(0, items.count, CHUNK):
            chunk = _Chunk(items, range(first, min(first + CHUNK, items.count)))
            chunks.create_task(run_chunk(chunk))
            await chunk.all_begun.wait()


async def chunk_entry(chunk: _Chunk) -> None:
    """The body of a chunk's entrypoint."""
    items = chunk.items
    try:
        async with asyncio.TaskGroup() as running:
            for index in chunk.indexes:
                await items.places.acquire()
                if items.gate.reason is not None:
                    items.places.release()
                    return
                running.create_task(_run_one(items, index))
            chunk.all_begun.set()
    finally:
        chunk.all_begun.set()


async def _run_one(items: Items, index: int) -> None:
    place = Place(items.places, outer=items.outer)
    try:
        await items.run_one(index, place)
    finally:
        place.leave()


run_chunk = as_entrypoint(chunk_entry)

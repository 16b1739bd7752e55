"""Pipes for what children print.

Not asyncio's own: its `Process.wait` returns only when the pipe is closed too, which a process that
the child left behind may keep open for as long as it lives.
"""

import asyncio
import os
from asyncio import StreamReader, StreamReaderProtocol
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import NamedTuple

_LONGEST_LINE = 1 << 20  # bytes; of a longer one the console shows that there was one


class OutputPipe(NamedTuple):
    """Its two ends: ours to read, and a descriptor for the child to write."""

    reader: StreamReader
    writing: int


@asynccontextmanager
async def output_pipe() -> AsyncGenerator[OutputPipe, None]:
    """Open a pipe; the child's end is closed here after the block, which has handed it over."""
    reading, writing = os.pipe()
    try:
        reader = StreamReader(limit=_LONGEST_LINE)
        file = os.fdopen(reading, "rb", buffering=0)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: StreamReaderProtocol(reader), file)
        try:
            yield OutputPipe(reader, writing)
        except BaseException:
            transport.close()
            raise
    finally:
        os.close(writing)

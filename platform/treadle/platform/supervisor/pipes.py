"""Pipes for what children print.

Not asyncio's own: its `Process.wait` returns only when the pipe is closed too, which a process that
the child left behind may keep open for as long as it lives.
"""

import asyncio
import io
import os
import sys
from asyncio import ReadTransport, StreamReader, StreamReaderProtocol
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import NamedTuple

_STDOUT, _STDERR = 1, 2
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
        reader, transport = await open_reader(reading)
        try:
            yield OutputPipe(reader, writing)
        except BaseException:
            transport.close()
            raise
    finally:
        os.close(writing)


async def open_reader(reading: int) -> tuple[StreamReader, ReadTransport]:
    """Read lines from our end of a pipe, on the running loop."""
    reader = StreamReader(limit=_LONGEST_LINE)
    file = os.fdopen(reading, "rb", buffering=0)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: StreamReaderProtocol(reader), file)
    return reader, transport


def become_writer(writing: int) -> None:
    """Print into a pipe from now on, each line at once; in a forked process."""
    for descriptor in (_STDOUT, _STDERR):
        os.dup2(writing, descriptor)
    os.close(writing)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, write_through=True)

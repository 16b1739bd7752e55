"""Loops that go on after what they meet."""

import asyncio

import pytest

from treadle.platform import loops
from treadle.platform.loops import keep_going


async def test_a_loop_that_fails_begins_anew(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(loops, "_PAUSE_S", 0.001)
    turns = 0

    async def work() -> None:
        nonlocal turns
        turns += 1
        if turns < 3:
            raise KeyError("a fault")

    await asyncio.wait_for(keep_going(work, name="a loop"), 10)
    assert turns == 3
    said = capsys.readouterr()
    assert (said.out + said.err).count("loop.fault") == 2


async def test_a_cancelled_loop_ends() -> None:
    async def work() -> None:
        await asyncio.sleep(3600)

    task = keep_going(work, name="a loop")
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

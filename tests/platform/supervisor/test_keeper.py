import asyncio
import io
import os
from datetime import timedelta
from pathlib import Path

import psutil

from treadle.platform.embedded.program import Program
from treadle.platform.supervisor.console import Console
from treadle.platform.supervisor.keeper import Keeper
from treadle.platform.supervisor.process import Executor


def shell(script: str, ready: Path, *, grace_s: float = 5) -> Program:
    """A program that is ready when it has made a file."""

    async def is_ready() -> bool:
        return ready.exists()  # noqa: ASYNC240 - a local file, in a test

    return Program(
        name="probe",
        argv=("/bin/sh", "-c", script.replace("READY", f"touch {ready}")),
        is_ready=is_ready,
        grace=timedelta(seconds=grace_s),
    )


def keeper_of(program: Program, out: io.StringIO) -> Keeper:
    console = Console(out, has_colour=False)
    return Keeper(program, starter=Executor(), env={}, console=console)


async def test_a_child_that_keeps_ending_is_started_with_growing_pauses(tmp_path: Path) -> None:
    out = io.StringIO()
    count = tmp_path / "count"
    script = f"echo x >> {count}; [ $(wc -l < {count}) -ge 3 ] && READY && sleep 60; exit 7"
    keeper = keeper_of(shell(script, tmp_path / "ready"), out)
    keeper.begin()
    async with asyncio.timeout(60):
        await keeper.wait_ready()
    await keeper.end()
    said = [line for line in out.getvalue().splitlines() if "probe ended" in line]
    assert said == [
        "treadle   | probe ended with exit code 7; it is started again now",
        "treadle   | probe ended with exit code 7; it is started again in 0.25 s",
    ]


async def test_what_a_child_started_ends_with_it(tmp_path: Path) -> None:
    grandchild = tmp_path / "grandchild"
    script = f"sleep 61 & echo $! > {grandchild}; READY; wait"
    keeper = keeper_of(shell(script, tmp_path / "ready"), io.StringIO())
    keeper.begin()
    async with asyncio.timeout(60):
        await keeper.wait_ready()
    await keeper.end()
    pid = int(grandchild.read_text(encoding="ascii"))
    # It has its SIGKILL by now; on a busy machine the kernel takes a moment to act on it.
    async with asyncio.timeout(60):
        while is_running(pid):  # noqa: ASYNC110 - another process has no event
            await asyncio.sleep(0.02)


async def test_a_child_that_does_not_stop_is_killed_and_named(tmp_path: Path) -> None:
    out = io.StringIO()
    script = "trap '' TERM; READY; sleep 62; sleep 62"
    keeper = keeper_of(shell(script, tmp_path / "ready", grace_s=0.2), out)
    keeper.begin()
    async with asyncio.timeout(60):
        await keeper.wait_ready()
        await keeper.end()
    assert "probe did not stop in 0.2 s and was killed" in out.getvalue()


async def test_a_program_that_is_missing_is_tried_again_and_named(tmp_path: Path) -> None:
    out = io.StringIO()
    program = shell("", tmp_path / "ready")
    missing = Program(name="probe", argv=("/no/such/thing",), is_ready=program.is_ready)
    keeper = keeper_of(missing, out)
    keeper.begin()
    async with asyncio.timeout(60):
        while out.getvalue().count("could not be started") < 2:  # noqa: ASYNC110 - text, no event
            await asyncio.sleep(0.02)
    await keeper.end()
    assert "/no/such/thing" in out.getvalue()


async def test_lines_carry_the_childs_name(tmp_path: Path) -> None:
    out = io.StringIO()
    keeper = keeper_of(shell("echo hello; echo oops >&2; READY; sleep 60", tmp_path / "ready"), out)
    keeper.begin()
    async with asyncio.timeout(60):
        await keeper.wait_ready()
    await keeper.end()
    assert out.getvalue().splitlines() == ["probe     | hello", "probe     | oops"]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False

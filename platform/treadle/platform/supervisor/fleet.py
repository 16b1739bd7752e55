"""All children of the supervisor, started in groups and ended in the opposite order."""

import asyncio
from collections.abc import Mapping

from treadle.platform.embedded.program import Program
from treadle.platform.supervisor.console import Console
from treadle.platform.supervisor.keeper import Keeper
from treadle.platform.supervisor.nurse import Nurse
from treadle.platform.supervisor.process import Executor, Starter


class Fleet:
    """Children by group; a group rests on those started before it.

    Args:
        nurse: Starts the Python programs among them; without it they are executed like any.
    """

    def __init__(self, nurse: Nurse | None, *, console: Console) -> None:
        self._console = console
        self._executor = Executor()
        self._nurse = nurse
        self._groups: list[list[Keeper]] = []

    def begin(self, *programs: Program, env: Mapping[str, str]) -> None:
        """Start a group; returns at once."""
        group = [
            Keeper(one, starter=self._starter(one), env=env, console=self._console)
            for one in programs
        ]
        self._groups.append(group)
        for keeper in group:
            keeper.begin()

    async def wait_ready(self) -> None:
        """Wait until all that was begun does its work."""
        keepers = (keeper for group in self._groups for keeper in group)
        await asyncio.gather(*(keeper.wait_ready() for keeper in keepers))

    async def end(self) -> None:
        """End all groups, the last started first."""
        for group in reversed(self._groups):
            await asyncio.gather(*(keeper.end() for keeper in group))
        if self._nurse is not None:
            await self._nurse.close()

    async def kill(self) -> None:
        """End all at once."""
        await asyncio.gather(*(keeper.kill() for group in self._groups for keeper in group))

    def _starter(self, program: Program) -> Starter:
        if program.entry is None or self._nurse is None:
            return self._executor
        return self._nurse

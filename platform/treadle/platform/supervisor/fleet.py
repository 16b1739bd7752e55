"""All children of the supervisor, started in groups and ended in the opposite order."""

import asyncio
from collections.abc import Mapping

from treadle.platform.embedded.program import Program
from treadle.platform.supervisor.console import Console
from treadle.platform.supervisor.keeper import Keeper


class Fleet:
    """Children by group; a group rests on those started before it."""

    def __init__(self, *, env: Mapping[str, str], console: Console) -> None:
        self._env = env
        self._console = console
        self._groups: list[list[Keeper]] = []

    def begin(self, *programs: Program) -> None:
        """Start a group; returns at once."""
        group = [Keeper(p, env=self._env, console=self._console) for p in programs]
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

    async def kill(self) -> None:
        """End all at once."""
        await asyncio.gather(*(keeper.kill() for group in self._groups for keeper in group))

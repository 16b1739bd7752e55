"""Writes the numbers of this process where every API process finds them."""

import asyncio
from contextlib import suppress

from prometheus_client import REGISTRY, CollectorRegistry

from treadle.platform.engine.connections import EngineConnection
from treadle.platform.engine.errors import CommitRefused, DatabaseAway
from treadle.platform.loops import keep_going
from treadle.platform.metrics.snapshot import take_snapshot, write_snapshot
from treadle.platform.metrics.statements import PUBLISH, RETIRE

PUBLISH_S = 10.0


class Publisher:
    """Publishes until it is stopped.

    Args:
        connection: Closed with this.
        process: Unique, and stable over restarts where it can be: `worker:local-1`.
    """

    def __init__(
        self, connection: EngineConnection, process: str, *, registry: CollectorRegistry = REGISTRY
    ) -> None:
        self.process = process
        self._registry = registry
        self._connection = connection
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, on the running loop."""
        self._task = keep_going(self._work, name="metrics")

    async def publish(self) -> None:
        """Write the numbers of now; raises `DatabaseAway`."""
        content = write_snapshot(take_snapshot(self._registry))
        await self._connection.execute(PUBLISH, (self.process, content))

    async def stop(self) -> None:
        """Stop, and take the last numbers away: this process counts no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        with suppress(DatabaseAway, CommitRefused):
            await self._connection.execute(RETIRE, (self.process,))
        await self._connection.close()

    async def _work(self) -> None:
        while True:
            with suppress(DatabaseAway, CommitRefused):
                await self.publish()
            await asyncio.sleep(PUBLISH_S)

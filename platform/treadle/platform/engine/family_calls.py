"""Parents hear of their children's end, and children end with their parents."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString, Protocol

from psycopg.rows import class_row

from treadle.platform.engine import wait_statements
from treadle.platform.engine.broadcast import Speaker
from treadle.platform.engine.claims import ClaimedRun
from treadle.platform.engine.connections import EngineConnection
from treadle.platform.engine.errors import DatabaseAway
from treadle.platform.engine.hints import CANCELS, SIGNALS
from treadle.platform.engine.ids import RunId
from treadle.platform.log import get_log

log = get_log(__name__)


@dataclass(frozen=True, slots=True)
class _Id:
    id: RunId


class Rings(Protocol):
    """The bell."""

    def ring(self, runs: Sequence[RunId]) -> None:
        """Ask the workers to look at these runs."""
        ...


class FamilyCalls:
    """Tells families at once; what is lost is found by `sweep`."""

    def __init__(self, connection: EngineConnection, speaker: Speaker, bell: Rings) -> None:
        self._connection = connection
        self._speaker = speaker
        self._bell = bell

    async def ended(self, run: ClaimedRun) -> None:
        """A run has ended here."""
        try:
            if run.children is not None:
                self._cancelled(await self._find(wait_statements.CANCEL_CHILDREN, [run.id]))
            if run.parent_id is not None:
                self._signalled(await self._find(wait_statements.SIGNAL_PARENTS, [run.id]))
        except DatabaseAway as away:
            log.warning("family.untold", run_id=str(run.id), reason=str(away))

    async def sweep(self) -> list[RunId]:
        """Do what was forgotten; returns the runs to ring for. Raises `DatabaseAway`."""
        self._cancelled(await self._find(wait_statements.CANCEL_ORPHANS, []))
        return await self._find(wait_statements.SIGNAL_FORGOTTEN, [])

    async def _find(self, statement: LiteralString, runs: Sequence[RunId]) -> list[RunId]:
        rows = await self._connection.fetch(statement, {"runs": list(runs)}, row=class_row(_Id))
        return [row.id for row in rows]

    def _cancelled(self, runs: Sequence[RunId]) -> None:
        if runs:
            self._speaker.say(CANCELS, json.dumps([str(run) for run in runs]))

    def _signalled(self, runs: Sequence[RunId]) -> None:
        if runs:
            self._bell.ring(runs)
            self._speaker.say(SIGNALS, json.dumps([str(run) for run in runs]))

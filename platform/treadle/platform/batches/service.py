"""Starting a batch, and trying again what failed of it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from treadle.agents.errors import InputsInvalid
from treadle.agents.language import declared_inputs
from treadle.agents.nodes.inputs import Input
from treadle.agents.values import JsonObject
from treadle.platform.agents.repository import AgentRecord, find_agent
from treadle.platform.auth.callers import Caller
from treadle.platform.batches.errors import NothingFailed
from treadle.platform.batches.repository import (
    Batch,
    BatchRow,
    failed_rows,
    get_batch,
    insert_batch,
    put_rows,
)
from treadle.platform.batches.rows import Format, RowUnreadable, read_rows, row_inputs
from treadle.platform.db.database import TenantConnection
from treadle.platform.db.ids import new_id
from treadle.platform.engine.acceptance import NewRun
from treadle.platform.engine.ids import RunId
from treadle.platform.engine.programs import Program
from treadle.platform.engine.turns import BATCH_PRIORITY
from treadle.platform.runs.inputs import fill_in, named_files, require_files
from treadle.platform.runs.launch import Launcher, Reason, insert_runs, new_run

CHUNK = 500
"""Rows of one statement."""


@dataclass(frozen=True, slots=True)
class _Checked:
    """A row with its inputs, or with what is wrong with it."""

    row: BatchRow
    inputs: JsonObject | None


@dataclass(frozen=True, slots=True)
class BatchStarter:
    """Starts runs of rows, in a transaction of the caller's workspace."""

    tx: TenantConnection
    launcher: Launcher
    caller: Caller

    async def start(self, agent_name: str, body: bytes, kind: Format) -> tuple[Batch, list[RunId]]:
        """Make a batch; raises `NotFound`, `NotRunnable` or `BatchInvalid`.

        A row that gives no valid inputs is recorded with its error.
        """
        agent = await find_agent(self.tx, agent_name)
        program = await self.launcher.program(self.tx, agent.sha256)
        declared = declared_inputs(program.template)
        # Reading ten thousand rows takes a second: other requests must not wait for it.
        rows = await asyncio.to_thread(read_rows, body, kind, declared)
        batch = Batch(new_id(), agent.id, agent.name, kind, datetime.now(UTC))
        await insert_batch(self.tx, batch, created_by=self.caller.key_id)
        fresh = [BatchRow(number, row, None, None, None) for number, row in enumerate(rows)]
        return batch, await self._launch(batch, agent, program, fresh)

    async def retry(self, batch_id: UUID) -> tuple[Batch, list[RunId]]:
        """Start what failed again; raises `NotFound` and `NothingFailed`."""
        batch = await get_batch(self.tx, batch_id, lock=True)
        agent = await find_agent(self.tx, str(batch.agent_id))
        program = await self.launcher.program(self.tx, agent.sha256)
        rows = await failed_rows(self.tx, batch.id)
        if not rows:
            raise NothingFailed
        return batch, await self._launch(batch, agent, program, rows)

    async def _launch(
        self, batch: Batch, agent: AgentRecord, program: Program, rows: Sequence[BatchRow]
    ) -> list[RunId]:
        started: list[RunId] = []
        for first in range(0, len(rows), CHUNK):
            chunk = rows[first : first + CHUNK]
            checked = await asyncio.to_thread(_check, chunk, batch.format, program, agent.settings)
            checked = [await self._check_files(one, program) for one in checked]
            runs = [self._run(one, agent, program) for one in checked]
            await insert_runs(
                self.tx, [run for run in runs if run is not None], priority=BATCH_PRIORITY
            )
            stored = [_with_run(one, run) for one, run in zip(checked, runs, strict=True)]
            await put_rows(self.tx, batch.id, stored)
            started += [run.id for run in runs if run is not None]
        return started

    async def _check_files(self, one: _Checked, program: Program) -> _Checked:
        files = named_files(program.template, one.inputs or {})
        if not files:
            return one
        try:
            await require_files(self.tx, files)
        except InputsInvalid as error:
            return _Checked(replace(one.row, error=str(error)), None)
        return one

    def _run(self, one: _Checked, agent: AgentRecord, program: Program) -> NewRun | None:
        if one.inputs is None:
            return None
        reason = Reason("batch", self.caller.key_id, root_id=one.row.root_id)
        return new_run(self.caller.workspace, agent, program, one.inputs, reason)


def _check(
    rows: Sequence[BatchRow], kind: Format, program: Program, settings: JsonObject
) -> list[_Checked]:
    declared = declared_inputs(program.template)
    return [_check_row(row, kind, program, settings, declared) for row in rows]


def _check_row(
    row: BatchRow,
    kind: Format,
    program: Program,
    settings: JsonObject,
    declared: Mapping[str, Input],
) -> _Checked:
    try:
        inputs = fill_in(program.template, row_inputs(row.row, kind, declared), settings)
    except (RowUnreadable, InputsInvalid, KeyError) as error:
        return _Checked(replace(row, run_id=None, error=_reason(error)), None)
    return _Checked(replace(row, error=None), inputs)


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"the agent has no input {error.args[0]!r} any more"
    if isinstance(error, InputsInvalid):
        return "; ".join(f"{issue.path}: {issue.message}" for issue in error.issues)[:2000]
    return str(error)


def _with_run(one: _Checked, run: NewRun | None) -> BatchRow:
    if run is None:
        return one.row
    return replace(one.row, run_id=run.id, root_id=one.row.root_id or run.root_id)

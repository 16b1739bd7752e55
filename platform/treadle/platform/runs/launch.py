"""Starting runs of stored agents inside a transaction that also notes why: a fire, a hook, a row.

The API's own runs go through `engine.acceptance`, which commits many requests together; here the
run and its reason are one transaction, so that neither is ever without the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from treadle.agents.interpreter import NodeTypeNotRunnable
from treadle.agents.values import JsonObject, JsonValue
from treadle.platform.agents.repository import AgentRecord
from treadle.platform.db.database import TenantConnection
from treadle.platform.db.ids import WorkspaceId, new_id
from treadle.platform.engine.acceptance import NewRun
from treadle.platform.engine.entries import dump
from treadle.platform.engine.ids import RunId
from treadle.platform.engine.programs import Program, Programs
from treadle.platform.engine.turns import INTERACTIVE_PRIORITY
from treadle.platform.runs.errors import NotRunnable
from treadle.platform.runs.family import find_family, has_children
from treadle.platform.runs.inputs import fill_in, named_files, require_files
from treadle.platform.templates.library import TemplateLibrary
from treadle.platform.templates.repository import get_text

_INSERT = """
WITH r AS (
    INSERT INTO runs (
        id, workspace_id, root_id, agent_id, agent, template, version, sha256, trigger, owner,
        settings, connections, is_pure, wake_at, inputs, created_by, children, priority, status, seq
    )
    SELECT u.*, %(priority)s, 'queued', 1 FROM unnest(
        %(id)s::uuid[], %(workspace)s::uuid[], %(root)s::uuid[], %(agent_id)s::uuid[],
        %(agent)s::text[], %(template)s::text[], %(version)s::text[], %(sha256)s::bytea[],
        %(trigger)s::text[], %(owner)s::text[], %(settings)s::json[], %(connections)s::json[],
        %(is_pure)s::bool[], %(wake_at)s::timestamptz[], %(inputs)s::json[], %(created_by)s::uuid[],
        %(children)s::json[]
    ) AS u
    RETURNING id, workspace_id
)
INSERT INTO log (run_id, seq, workspace_id, entry)
SELECT id, 1, workspace_id, '{"t":"run.queued"}' FROM r
"""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a run is started.

    Attributes:
        trigger: What expressions see as `run.trigger`.
        wake_at: Not before this.
        root_id: Of the run that this one does over: its effects keep their keys.
    """

    trigger: str
    created_by: UUID | None
    wake_at: datetime | None = None
    root_id: UUID | None = None


class Launcher:
    """Prepares runs of agents; keeps the programs it has read."""

    def __init__(self, library: TemplateLibrary) -> None:
        self._library = library
        self._programs = Programs()

    async def program(self, tx: TenantConnection, sha256: bytes) -> Program:
        """Read a stored text; raises `NotRunnable`."""
        known = self._programs.get(sha256)
        if known is not None:
            return known
        checked = self._library.known(sha256) or self._library.check(await get_text(tx, sha256))
        try:
            return self._programs.compile(sha256, checked.template)
        except NodeTypeNotRunnable as error:
            raise NotRunnable(error.path, str(error)) from error

    async def inputs(
        self, tx: TenantConnection, agent: AgentRecord, given: Mapping[str, JsonValue]
    ) -> JsonObject:
        """Complete the inputs of a run; raises `InputsInvalid` or `NotRunnable`."""
        template = (await self.program(tx, agent.sha256)).template
        inputs = fill_in(template, given, agent.settings)
        files = named_files(template, inputs)
        if files:
            await require_files(tx, files)
        return inputs

    async def prepare(
        self,
        tx: TenantConnection,
        workspace: WorkspaceId,
        agent: AgentRecord,
        given: Mapping[str, JsonValue],
        reason: Reason,
    ) -> NewRun:
        """A run, ready to be inserted; raises as `inputs` does."""
        inputs = await self.inputs(tx, agent, given)
        program = await self.program(tx, agent.sha256)
        new = new_run(workspace, agent, program, inputs, reason)
        if not has_children(program.template):
            return new
        family = await find_family(tx, self._library, program.template, program.sha256)
        return replace(new, children=family.write())


def new_run(
    workspace: WorkspaceId,
    agent: AgentRecord,
    program: Program,
    inputs: JsonObject,
    reason: Reason,
) -> NewRun:
    """A run of an agent with inputs that are complete."""
    run = RunId(new_id())
    return NewRun(
        id=run,
        workspace=workspace,
        root_id=reason.root_id or run,
        agent_id=agent.id,
        agent=agent.name,
        template=program.template.name,
        version=program.template.version,
        sha256=agent.sha256,
        trigger=reason.trigger,
        owner=agent.owner,
        settings=agent.settings,
        connections=dict(agent.connections),
        is_pure=program.graph.is_pure,
        wake_at=reason.wake_at,
        inputs=inputs,
        created_by=reason.created_by,
    )


async def insert_runs(
    tx: TenantConnection, runs: Sequence[NewRun], *, priority: int = INTERACTIVE_PRIORITY
) -> None:
    """Accept runs in this transaction, with one statement; ring for them once it is committed."""
    if runs:
        await tx.exec_driver_sql(_INSERT, {**_columns(runs), "priority": priority})


def _columns(runs: Sequence[NewRun]) -> dict[str, object]:
    return {
        "id": [run.id for run in runs],
        "workspace": [run.workspace for run in runs],
        "root": [run.root_id for run in runs],
        "agent_id": [run.agent_id for run in runs],
        "agent": [run.agent for run in runs],
        "template": [run.template for run in runs],
        "version": [run.version for run in runs],
        "sha256": [run.sha256 for run in runs],
        "trigger": [run.trigger for run in runs],
        "owner": [run.owner for run in runs],
        "settings": [dump(run.settings) for run in runs],
        "connections": [dump(run.connections) for run in runs],
        "is_pure": [run.is_pure for run in runs],
        "wake_at": [run.wake_at for run in runs],
        "inputs": [dump(run.inputs) for run in runs],
        "created_by": [run.created_by for run in runs],
        "children": [None if run.children is None else dump(run.children) for run in runs],
    }

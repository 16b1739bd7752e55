"""Retries: a new run that takes over what an ended one has finished, in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY, JSON
from sqlalchemy.types import Integer

from treadle.agents.language import Template
from treadle.agents.ports import StepRecord, StepStatus
from treadle.agents.values import JsonObject, JsonValue
from treadle.platform.agents.binding import connection_issues, settings_issues
from treadle.platform.agents.errors import AgentInvalid
from treadle.platform.db.database import TenantConnection
from treadle.platform.db.ids import new_id
from treadle.platform.engine.entries import Entry, dump, step_entry
from treadle.platform.engine.ids import RunId
from treadle.platform.engine.leases import ENDED, RunStatus
from treadle.platform.engine.models import runs
from treadle.platform.engine.programs import Program
from treadle.platform.errors import NotFound
from treadle.platform.runs.family import find_family
from treadle.platform.runs.inputs import fill_in, named_files, require_files
from treadle.platform.runs.launch import Launcher
from treadle.platform.runs.remaking import Past, RunNotFinished, Trace, Wish, reused
from treadle.platform.templates.library import TemplateLibrary
from treadle.platform.templates.repository import keep_text
from treadle.platform.templates.resolution import resolve_name

_OUTLINE = text(
    """
    SELECT seq, entry->>'path' AS path, coalesce(entry->>'node', entry->>'path') AS node,
        entry->'item' AS item, entry->>'call' AS call, split_part(entry->>'t', '.', 2) AS status
    FROM log WHERE run_id = :run AND entry->>'path' IS NOT NULL ORDER BY seq
    """
).columns(item=JSON(none_as_null=True))
"""A log without its values, which may be many megabytes."""

_INSERT = text(
    """
    INSERT INTO runs (
        id, workspace_id, root_id, agent_id, agent, template, version, sha256, trigger, owner,
        settings, connections, is_pure, priority, inputs, created_by, frame, children, status, seq
    )
    SELECT :id, workspace_id, root_id, agent_id, agent, :template, :version, :sha256, trigger,
        owner, settings, connections, :is_pure, priority, CAST(:inputs AS json), :created_by,
        frame, CASE WHEN :is_same THEN children ELSE CAST(:children AS json) END, 'queued', :seq
    FROM runs WHERE id = :origin
    """
)
"""It keeps its origin's root run and frame: effects that are repeated keep their keys."""

_COPY = text(
    """
    INSERT INTO log (run_id, seq, workspace_id, entry)
    SELECT :id, 1 + row_number() OVER (ORDER BY seq), workspace_id, entry
    FROM log WHERE run_id = :origin AND seq = ANY(:seqs)
    """
).bindparams(bindparam("seqs", type_=ARRAY(Integer)))
_COPY_VALUES = text(
    """
    INSERT INTO run_values (run_id, workspace_id, ref, content)
    SELECT :id, workspace_id, ref, content FROM run_values
    WHERE run_id = :origin AND ref IN (
        SELECT entry->'large'->>'$ref' FROM log WHERE run_id = :origin AND seq = ANY(:seqs)
    )
    """
).bindparams(bindparam("seqs", type_=ARRAY(Integer)))
"""Each run has its own, because the older run and what lies with it may be dropped first."""

_ADD = text(
    """
    INSERT INTO log (run_id, seq, workspace_id, entry)
    SELECT :id, CAST(:seq AS int), workspace_id, CAST(:entry AS json) FROM runs WHERE id = :id
    """
)
_ADD_VALUE = text(
    """
    INSERT INTO run_values (run_id, workspace_id, ref, content)
    SELECT :id, workspace_id, :ref, :content FROM runs WHERE id = :id ON CONFLICT DO NOTHING
    """
)


@dataclass(frozen=True, slots=True)
class RetryOrder:
    """What a retry asks for; see `RetryBody`."""

    start: str | None = None
    inputs: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    version: str | None = None
    outputs: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])

    @property
    def is_plain(self) -> bool:
        """Whether it asks for nothing but another try."""
        return not (self.start or self.inputs or self.version or self.outputs)


class Retries:
    """Makes runs out of runs."""

    def __init__(self, launcher: Launcher, library: TemplateLibrary) -> None:
        self._launcher = launcher
        self._library = library

    async def retry(
        self, tx: TenantConnection, run: UUID, order: RetryOrder, *, created_by: UUID | None
    ) -> RunId:
        """Insert the new run; ring for it once this is committed.

        Raises `NotFound`, `RunNotFinished`, `InputsInvalid`, `AgentInvalid`, and what `reused`
        raises.
        """
        origin = await _origin(tx, run)
        old = await self._launcher.program(tx, origin.sha256)
        new = await self._program(tx, origin, order)
        inputs = await self._inputs(tx, origin, new.template, order)
        past = Past.of(await _outline(tx, run))
        kept = _kept(old, new, past, order, origin, inputs)
        seqs = sorted(past.steps[path].seq for path in kept)
        edited = [_edited(past, path, output) for path, output in order.outputs.items()]
        new_run = RunId(new_id())
        await tx.execute(
            _INSERT,
            {
                "id": new_run,
                "origin": run,
                "template": new.template.name,
                "version": new.template.version,
                "sha256": new.sha256,
                "is_pure": new.graph.is_pure,
                "inputs": dump(inputs),
                "created_by": created_by,
                "is_same": new.sha256 == origin.sha256,
                "children": await self._children(tx, origin, new),
                "seq": 1 + len(seqs) + len(edited),
            },
        )
        queued = dump({"t": "run.queued", "retry_of": str(run)})
        await tx.execute(_ADD, {"id": new_run, "seq": 1, "entry": queued})
        await _take_over(tx, new_run, run, seqs)
        await _add(tx, new_run, edited, after=1 + len(seqs))
        return new_run

    async def _program(self, tx: TenantConnection, origin: "_Origin", order: RetryOrder) -> Program:
        if order.version is None:
            return await self._launcher.program(tx, origin.sha256)
        found = await resolve_name(tx, self._library, origin.template, version=order.version)
        await keep_text(tx, found.checked)
        issues = settings_issues(found.checked, origin.settings)
        issues += await connection_issues(tx, found.checked.template, origin.connections)
        if issues:
            raise AgentInvalid(issues)
        return await self._launcher.program(tx, found.checked.sha256)

    async def _inputs(
        self, tx: TenantConnection, origin: "_Origin", template: Template, order: RetryOrder
    ) -> JsonObject:
        before = origin.inputs
        if order.version is not None:  # what another version no longer declares is left out
            before = {name: one for name, one in before.items() if name in template.inputs}
        inputs = fill_in(template, {**before, **order.inputs}, origin.settings)
        files = named_files(template, order.inputs)
        if files:
            await require_files(tx, files)
        return inputs

    async def _children(
        self, tx: TenantConnection, origin: "_Origin", program: Program
    ) -> str | None:
        if program.sha256 == origin.sha256:
            return None
        family = await find_family(tx, self._library, program.template, program.sha256)
        children = family.write()
        return None if children is None else dump(children)


@dataclass(frozen=True, slots=True)
class _Origin:
    id: RunId
    template: str
    sha256: bytes
    status: str
    settings: JsonObject
    connections: dict[str, str]
    inputs: JsonObject


async def _origin(tx: TenantConnection, run: UUID) -> _Origin:
    columns = (runs.c.id, runs.c.template, runs.c.sha256, runs.c.status, runs.c.settings,
               runs.c.connections, runs.c.inputs)  # fmt: skip
    row = (await tx.execute(select(*columns).where(runs.c.id == run))).one_or_none()
    if row is None:
        raise NotFound("run", str(run))
    if row.status not in ENDED:
        raise RunNotFinished(RunId(run), row.status)
    return _Origin(*row)


async def _outline(tx: TenantConnection, run: UUID) -> list[Trace]:
    return [_trace(row) for row in await tx.execute(_OUTLINE, {"run": run})]


# Any: SQLAlchemy knows no types of columns of a text.
def _trace(row: Row[Any]) -> Trace:
    return Trace(row.seq, row.path, row.node, row.item, row.call, StepStatus(row.status))


def _kept(
    old: Program,
    new: Program,
    past: Past,
    order: RetryOrder,
    origin: _Origin,
    inputs: JsonObject,
) -> frozenset[str]:
    changed = {name for name, one in inputs.items() if origin.inputs.get(name) != one}
    # Of a run that went well in spite of failed items, it is those that a plain retry is about.
    is_about_items = order.is_plain and origin.status == RunStatus.SUCCEEDED
    wish = Wish(
        start=order.start,
        again=past.failed if is_about_items else frozenset(),
        edited=list(order.outputs),
        inputs=changed & order.inputs.keys(),
        drifted=changed - order.inputs.keys(),
    )
    return reused(old.template, new.template, past, wish)


def _edited(past: Past, path: str, output: JsonValue) -> Entry:
    """The entry of a step whose output somebody gave."""
    before, now = past.steps.get(path), datetime.now(UTC)
    item = None if before is None else before.item
    indexes = tuple(one for one in item if isinstance(one, int)) if isinstance(item, list) else item
    return step_entry(
        StepRecord(
            path=path,
            node=path if before is None else before.node,
            item=indexes if isinstance(indexes, int | tuple) else None,
            status=StepStatus.SUCCEEDED,
            output=output,
            started_at=now,
            finished_at=now,
            extra={"edited": True},
        )
    )


async def _take_over(
    tx: TenantConnection, new_run: RunId, origin: UUID, seqs: Sequence[int]
) -> None:
    if seqs:
        where = {"id": new_run, "origin": origin, "seqs": list(seqs)}
        await tx.execute(_COPY_VALUES, where)
        await tx.execute(_COPY, where)


async def _add(
    tx: TenantConnection, new_run: RunId, entries: Sequence[Entry], *, after: int
) -> None:
    for seq, entry in enumerate(entries, start=after + 1):
        if entry.large is not None:
            value = {"id": new_run, "ref": entry.large.ref, "content": entry.large.content}
            await tx.execute(_ADD_VALUE, value)
        await tx.execute(_ADD, {"id": new_run, "seq": seq, "entry": entry.text})

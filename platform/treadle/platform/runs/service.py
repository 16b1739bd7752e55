"""Starting, showing and cancelling runs."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from treadle.agents.interpreter import NodeTypeNotRunnable
from treadle.agents.ports import WaitKind
from treadle.agents.values import JsonObject, JsonValue
from treadle.platform.agents.binding import connection_issues, settings_issues
from treadle.platform.agents.errors import AgentInvalid
from treadle.platform.agents.lookups import AgentLookups
from treadle.platform.agents.repository import AgentRecord
from treadle.platform.approvals.tokens import WaitTokens
from treadle.platform.auth.callers import Caller
from treadle.platform.db.database import Database, TenantConnection
from treadle.platform.db.ids import WorkspaceId, new_id
from treadle.platform.engine.acceptance import Acceptance, NewRun
from treadle.platform.engine.broadcast import Listener, Speaker
from treadle.platform.engine.connections import EngineConnection
from treadle.platform.engine.hints import CANCELS, COMMITS, SIGNALS
from treadle.platform.engine.ids import RunId
from treadle.platform.engine.leases import RunStatus
from treadle.platform.engine.programs import Program, Programs
from treadle.platform.idempotency.attempt import Attempt
from treadle.platform.jobs import Bell
from treadle.platform.runs.errors import NotRunnable
from treadle.platform.runs.family import find_family, has_children
from treadle.platform.runs.feeds import Feeds, Watch
from treadle.platform.runs.inputs import fill_in, named_files, require_files
from treadle.platform.runs.recording import record
from treadle.platform.runs.repository import cancel_run, get_run, read_whole_log
from treadle.platform.runs.steering import cancel_children, signal_parent
from treadle.platform.runs.views import Progress, RunRow, is_dropped, show_run
from treadle.platform.templates.library import Checked, TemplateLibrary
from treadle.platform.templates.repository import get_text, keep_text
from treadle.platform.templates.resolution import TemplateSource, resolve_source
from treadle.platform.tracing.context import present

_MOST_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Order:
    """What a caller asks for beside the template; `attempt` where it sent an idempotency key."""

    inputs: Mapping[str, JsonValue]
    run_at: datetime | None
    wait_s: float | None
    attempt: Attempt | None = None


@dataclass(frozen=True, slots=True)
class Bound:
    """A program with everything a run of it takes from its agent or its caller."""

    program: Program
    settings: JsonObject
    connections: dict[str, str]
    agent: AgentRecord | None = None


class RunService:
    """Runs, as the API of one process offers them.

    Args:
        tokens: Stand for waits outside: the `id` of a callback is one.
        redis_url: Without one nobody is hurried: workers sweep, followers poll.
    """

    def __init__(
        self,
        database: Database,
        library: TemplateLibrary,
        *,
        database_url: str,
        redis_url: str | None,
        tokens: WaitTokens,
    ) -> None:
        self._database = database
        self._library = library
        self._programs = Programs()
        self._tokens = tokens
        self._kept: set[tuple[WorkspaceId, bytes]] = set()
        self._bell = None if redis_url is None else Bell(redis_url)
        self._speaker = None if redis_url is None else Speaker(redis_url)
        self.listener = None if redis_url is None else Listener(redis_url)
        self._acceptance = Acceptance(EngineConnection(database_url), on_accepted=self.ring)
        self._agents = AgentLookups(database_url)
        self.feeds = Feeds(
            database, EngineConnection(database_url), self.listener, on_heard=self._heard
        )

    async def start(self) -> None:
        """Begin, on the running loop."""
        self._acceptance.start()
        self._agents.start()
        self.feeds.start()
        for part in (self._bell, self._speaker, self.listener):
            if part is not None:
                part.start()

    async def stop(self) -> None:
        """Stop; what was accepted stays accepted."""
        await self._acceptance.stop()
        await self._agents.stop()
        await self.feeds.stop()
        for part in (self._bell, self.listener, self._speaker):
            if part is not None:
                await part.stop()

    async def start_template(
        self,
        caller: Caller,
        source: TemplateSource,
        order: Order,
        *,
        settings: JsonObject,
        connections: dict[str, str],
    ) -> tuple[JsonObject, bool]:
        """Run a template; returns the run, and whether it has ended already."""
        if isinstance(source, str) and "\n" in source and not connections:
            # A text that is known and binds nothing needs no query.
            checked = self._library.check(source)
        else:
            async with self._database.tenant(caller.workspace) as tx:
                checked = (await resolve_source(tx, self._library, source)).checked
        issues = settings_issues(checked, settings)
        if connections or checked.template.connections:
            async with self._database.tenant(caller.workspace) as tx:
                issues += await connection_issues(tx, checked.template, connections)
        if issues:
            raise AgentInvalid(issues)
        program = self._compile(checked)
        await self._keep(caller.workspace, checked)
        return await self._start(caller, Bound(program, settings, connections), order)

    async def start_agent(
        self, caller: Caller, agent: str, order: Order
    ) -> tuple[JsonObject, bool]:
        """Run a stored agent; returns the run, and whether it has ended already."""
        record = await self._agents.find(caller.workspace, agent)
        program = self._programs.get(record.sha256)
        if program is None:
            async with self._database.tenant(caller.workspace) as tx:
                program = await self._program(tx, record.sha256)
        bound = Bound(program, record.settings, dict(record.connections), record)
        return await self._start(caller, bound, order)

    async def show(self, tx: TenantConnection, run: RunRow) -> JsonObject:
        """A run with its steps."""
        progress = Progress()
        progress.add(await read_whole_log(tx, run.id))
        for wait in progress.waits.values():
            if wait["kind"] == WaitKind.CALLBACK:
                wait["id"] = self._tokens.callback(UUID(str(wait["id"])))
        return show_run(run, progress, (await self._program(tx, run.sha256)).template)

    async def steps(self, tx: TenantConnection, run: UUID) -> list[JsonObject]:
        """Every step of a run; raises `NotFound`."""
        row = await get_run(tx, run)
        progress = Progress()
        progress.add(await read_whole_log(tx, row.id))
        template = (await self._program(tx, row.sha256)).template
        return progress.shown(template, is_dropped=is_dropped(row, progress))

    async def record(self, tx: TenantConnection, run: UUID) -> JsonObject:
        """A run that has ended as a redacted cassette; raises `NotFound` or `RunNotFinished`."""
        row = await get_run(tx, run)
        return await record(tx, run, (await self._program(tx, row.sha256)).template)

    async def cancel(self, caller: Caller, run: UUID) -> JsonObject:
        """End a run at once, whatever its worker does; raises `NotFound` or `RunFinished`."""
        async with self._database.tenant(caller.workspace) as tx:
            await cancel_run(tx, run)
            ended = [RunId(run), *await cancel_children(tx, run)]
            told = await signal_parent(tx, run)
        if self._speaker is not None:
            self._speaker.say(CANCELS, json.dumps([str(one) for one in ended]))
        self.signal(told)
        async with self._database.tenant(caller.workspace) as tx:
            row = await get_run(tx, run)
            self._hint_end(row)
            return await self.show(tx, row)

    def _hint_end(self, run: RunRow) -> None:
        if self._speaker is not None and run.finished_at is not None:
            hint = {"run": str(run.id), "seq": 0, "at": run.finished_at.isoformat()}
            self._speaker.say(COMMITS, json.dumps([hint]))

    async def _start(self, caller: Caller, bound: Bound, order: Order) -> tuple[JsonObject, bool]:
        template = bound.program.template
        inputs = fill_in(template, order.inputs, bound.settings)
        files = named_files(template, inputs)
        if files:
            async with self._database.tenant(caller.workspace) as tx:
                await require_files(tx, files)
        new = _new_run(caller, bound, inputs, order)
        if has_children(template):
            new = replace(new, children=await self._children(caller, bound.program))
        if order.attempt is not None:
            queued = show_run(_row(new, datetime.now(UTC)), Progress(), template)
            answer = order.attempt.accepted(
                queued | {"created_at": None}, is_final=not order.wait_s
            )
            new = replace(new, answer=answer)
        if not order.wait_s:
            row = _row(new, await self._acceptance.accept(new))
            return show_run(row, Progress(), template), False
        with self.feeds.watch(new.id, is_patient=True) as watch:
            row = _row(new, await self._acceptance.accept(new))
            return await self._wait(caller, row, watch, bound.program, wait_s=order.wait_s)

    async def _children(self, caller: Caller, program: Program) -> JsonObject | None:
        async with self._database.tenant(caller.workspace) as tx:
            family = await find_family(tx, self._library, program.template, program.sha256)
        return family.write()

    async def _wait(
        self, caller: Caller, row: RunRow, watch: Watch, program: Program, *, wait_s: float
    ) -> tuple[JsonObject, bool]:
        progress, after = Progress(), 1
        try:
            async with asyncio.timeout(wait_s):
                while progress.finished_at is None:
                    rows = await self.feeds.next(watch, row.id, caller.workspace, after=after)
                    progress.add(rows)
                    after = rows[-1].seq if rows else after
        except TimeoutError:
            pass
        if progress.finished_at is None or _lacks_outputs(progress, watch):
            async with self._database.tenant(caller.workspace) as tx:
                stored = await get_run(tx, row.id)
                return await self.show(tx, stored), stored.finished_at is not None
        row = replace(
            row,
            status=progress.status,
            outputs=watch.outputs,
            error=progress.error,
            started_at=progress.started_at,
            finished_at=progress.finished_at,
        )
        return show_run(row, progress, program.template), True

    async def _program(self, tx: TenantConnection, sha256: bytes) -> Program:
        known = self._programs.get(sha256)
        return known or self._compile(self._library.check(await get_text(tx, sha256)))

    def _compile(self, checked: Checked) -> Program:
        try:
            return self._programs.compile(checked.sha256, checked.template)
        except NodeTypeNotRunnable as error:
            raise NotRunnable(error.path, str(error)) from error

    async def _keep(self, workspace: WorkspaceId, checked: Checked) -> None:
        """Store the text that a run refers to, once."""
        key = (workspace, checked.sha256)
        if key in self._kept:
            return
        async with self._database.tenant(workspace) as tx:
            await keep_text(tx, checked)
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept.add(key)

    def ring(self, runs: Sequence[RunId]) -> None:
        """Ask the workers to look at runs that were accepted by other means than this service."""
        if self._bell is not None:
            self._bell.ring(runs)

    def signal(self, runs: Sequence[RunId]) -> None:
        """Tell whoever has these runs that something came for them, and wake those that park."""
        if self._speaker is not None and runs:
            self._speaker.say(SIGNALS, json.dumps([str(run) for run in runs]))
        self.ring(runs)

    def _heard(self, run: RunId) -> None:
        if self._bell is not None:
            self._bell.heard(run)


def _lacks_outputs(progress: Progress, watch: Watch) -> bool:
    return progress.status == RunStatus.SUCCEEDED and watch.outputs is None


def _new_run(caller: Caller, bound: Bound, inputs: JsonObject, order: Order) -> NewRun:
    run = RunId(new_id())
    trace = present.get()
    agent, template = bound.agent, bound.program.template
    return NewRun(
        id=run,
        workspace=caller.workspace,
        root_id=run,
        agent_id=None if agent is None else agent.id,
        agent=None if agent is None else agent.name,
        template=template.name,
        version=template.version,
        sha256=bound.program.sha256,
        trigger="api",
        owner=(agent.owner if agent is not None else "") or caller.owner,
        settings=bound.settings,
        connections=bound.connections,
        is_pure=bound.program.graph.is_pure,
        wake_at=order.run_at,
        inputs=inputs,
        created_by=caller.key_id,
        traceparent=None if trace is None else trace.write(),
    )


def _row(new: NewRun, at: datetime) -> RunRow:
    return RunRow(
        id=new.id,
        root_id=new.root_id,
        agent=new.agent,
        template=new.template,
        version=new.version,
        sha256=new.sha256,
        status=RunStatus.QUEUED,
        inputs=new.inputs,
        outputs=None,
        error=None,
        created_at=at,
        started_at=None,
        finished_at=None,
    )

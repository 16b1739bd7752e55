"""`/v1/batches` and `/v1/agents/{agent}/batches`."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated

from fastapi import BackgroundTasks, Header, Request
from fastapi.responses import StreamingResponse

from treadle.platform.agents.repository import find_agents
from treadle.platform.auth.callers import Caller
from treadle.platform.auth.scopes import Scope
from treadle.platform.batches.repository import Batch, count_rows, get_batch
from treadle.platform.batches.results import stream_results
from treadle.platform.batches.rows import MEDIA_TYPES, Format
from treadle.platform.batches.schemas import BatchView
from treadle.platform.batches.service import BatchStarter
from treadle.platform.db.database import TenantConnection
from treadle.platform.db.ids import parse_id
from treadle.platform.errors import UnsupportedMediaType
from treadle.platform.routing import Transaction, Wired, api_router, needs
from treadle.platform.services import Services

router = api_router(tags=["batches"])

Reader = Annotated[Caller, needs(Scope.RUNS_READ)]
Writer = Annotated[Caller, needs(Scope.RUNS_WRITE)]

_ENDED = {"succeeded", "failed", "cancelled", "expired"}
_WRITTEN = {Format.CSV: "text/csv", Format.NDJSON: "application/x-ndjson"}
_FILE = {"schema": {"type": "string"}}
_BODY = {"requestBody": {"required": True, "content": dict.fromkeys(_WRITTEN.values(), _FILE)}}


@router.post("/v1/agents/{agent}/batches", status_code=HTTPStatus.ACCEPTED, openapi_extra=_BODY)
async def create(
    agent: str,
    request: Request,
    tx: Transaction,
    services: Wired,
    caller: Writer,
    after: BackgroundTasks,
) -> BatchView:
    """Run an agent once per row: CSV columns by name, or one JSON object a line.

    JSON stands in the cells of inputs that are no text. A row that is wrong is recorded.
    """
    kind = _read_kind(request.headers.get("content-type", ""))
    starter = BatchStarter(tx, services.launcher, caller)
    batch, started = await starter.start(agent, await request.body(), kind)
    after.add_task(services.runs.ring, started)
    return await _show(tx, batch)


@router.get("/v1/batches/{batch}")
async def get(batch: str, tx: Transaction, _: Reader) -> BatchView:
    """Show how far a batch is."""
    return await _show(tx, await get_batch(tx, parse_id("batch", batch)))


@router.get(
    "/v1/batches/{batch}/results",
    response_class=StreamingResponse,
    responses={HTTPStatus.OK: {"content": dict.fromkeys(_WRITTEN.values(), _FILE)}},
)
async def get_results(
    batch: str, services: Wired, caller: Reader, accept: Annotated[str, Header()] = "*/*"
) -> StreamingResponse:
    """Each row as it was sent, with `run`, `status`, `error` and the outputs.

    As CSV or JSON lines, as `Accept` says; otherwise as the batch was sent.
    """
    async with services.database.tenant(caller.workspace) as tx:
        found = await get_batch(tx, parse_id("batch", batch))
        outputs = await _outputs(tx, services, found)
    kind = _wanted(accept) or found.format
    stream = stream_results(services.database, caller.workspace, found.id, kind, outputs=outputs)
    return StreamingResponse(stream, media_type=_WRITTEN[kind])


@router.post("/v1/batches/{batch}/retry", status_code=HTTPStatus.ACCEPTED)
async def retry(
    batch: str, tx: Transaction, services: Wired, caller: Writer, after: BackgroundTasks
) -> BatchView:
    """Start the rows that failed again, with the agent as it is now."""
    starter = BatchStarter(tx, services.launcher, caller)
    found, started = await starter.retry(parse_id("batch", batch))
    after.add_task(services.runs.ring, started)
    return await _show(tx, found)


async def _outputs(tx: TenantConnection, services: Services, batch: Batch) -> tuple[str, ...]:
    agent = (await find_agents(tx, [batch.agent_id])).get(batch.agent_id)
    if agent is None:
        return ()
    return tuple((await services.launcher.program(tx, agent.sha256)).template.outputs)


async def _show(tx: TenantConnection, batch: Batch) -> BatchView:
    counts = await count_rows(tx, batch.id)
    return BatchView.model_validate(
        {
            "id": str(batch.id),
            "agent": batch.agent,
            "status": _status(counts),
            "total": sum(counts.values()),
            "counts": counts,
            "created_at": batch.created_at,
        }
    )


def _status(counts: Mapping[str, int]) -> str:
    if counts.keys() - _ENDED:
        return "running"
    return "succeeded" if set(counts) == {"succeeded"} else "failed"


def _read_kind(content_type: str) -> Format:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type not in MEDIA_TYPES:
        raise UnsupportedMediaType(
            f"a batch is text/csv or application/x-ndjson, not {media_type or 'nothing'!r}"
        )
    return MEDIA_TYPES[media_type]


def _wanted(accept: str) -> Format | None:
    for part in accept.split(","):
        kind = MEDIA_TYPES.get(part.partition(";")[0].strip().lower())
        if kind is not None:
            return kind
    return None

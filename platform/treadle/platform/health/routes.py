"""`/healthz`, `/readyz`, `/metrics`: public, and without a word about tenants."""

import asyncio
from http import HTTPStatus
from typing import Literal

from fastapi import Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from treadle.platform.db.database import Database
from treadle.platform.db.migrate import newest_revisions, present_revisions
from treadle.platform.health.probes import Probe, is_reachable
from treadle.platform.log import get_log
from treadle.platform.routing import Wired, api_router

router = api_router(tags=["health"])
log = get_log(__name__)

CHECK_TIMEOUT_S = 2.0
TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """Whether requests can be served. `parts` names each part; only two of them gate."""

    ready: bool
    parts: dict[str, str]


@router.get("/healthz")
async def healthz() -> Health:
    """Tell that the process lives."""
    return Health()


@router.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness}})
async def readyz(services: Wired) -> JSONResponse:
    """Tell whether PostgreSQL answers and has every migration.

    The broker and the model endpoints are reported, but runs are accepted without them.
    """
    database, broker, model = await asyncio.gather(
        _database_state(services.database),
        _reachability(services.settings.redis_url),
        _reachability(services.settings.model_url),
    )
    ready = database == "ok"
    body = Readiness(ready=ready, parts={"database": database, "broker": broker, "model": model})
    status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
    return JSONResponse(body.model_dump(), status_code=status)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(services: Wired) -> Response:
    """Give the metrics of all processes of this installation."""
    return Response(await services.exposition.text(), media_type=TEXT_FORMAT)


async def _database_state(database: Database) -> str:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S), database.unbound() as connection:
            present = await connection.run_sync(present_revisions)
    except (SQLAlchemyError, TimeoutError) as error:
        log.warning("readiness.database", error=str(error))
        return "unreachable"
    return "ok" if present >= newest_revisions() else "migrations missing"


async def _reachability(url: str | None) -> str:
    if url is None:
        return "not configured"
    return "ok" if await is_reachable(Probe.of(url), timeout_s=CHECK_TIMEOUT_S) else "unreachable"

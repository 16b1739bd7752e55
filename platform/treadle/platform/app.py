"""The API process: the only place where its parts meet."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from treadle.platform.agents import routes as agents
from treadle.platform.approvals import routes as approvals
from treadle.platform.approvals.tokens import WaitTokens
from treadle.platform.artifacts import routes as artifacts
from treadle.platform.audit import routes as audit
from treadle.platform.audit.chain import Chain
from treadle.platform.audit.witness import Witness
from treadle.platform.auth import routes as auth
from treadle.platform.auth.callers import KeyRing
from treadle.platform.batches import routes as batches
from treadle.platform.connections import routes as connections
from treadle.platform.connections.vault import Vault
from treadle.platform.db.database import Database
from treadle.platform.db.migrate import migrate
from treadle.platform.docs_page import docs_page
from treadle.platform.edge import Edge
from treadle.platform.endpoints import routes as endpoints
from treadle.platform.endpoints.availability import Availability
from treadle.platform.engine.connections import EngineConnection
from treadle.platform.files import routes as files
from treadle.platform.health import routes as health
from treadle.platform.hooks import routes as hooks
from treadle.platform.idempotency.answers import AnswerSeal
from treadle.platform.installation import installation_secret
from treadle.platform.limits import routes as limits
from treadle.platform.members import routes as members
from treadle.platform.metrics.exposition import Exposition
from treadle.platform.metrics.publisher import Publisher
from treadle.platform.openapi import install_openapi
from treadle.platform.plans import routes as plans
from treadle.platform.problems import install_problems
from treadle.platform.runs import retry_routes as retry
from treadle.platform.runs import routes as runs
from treadle.platform.runs import steering_routes as steering
from treadle.platform.runs.launch import Launcher
from treadle.platform.runs.service import RunService
from treadle.platform.runs.short_way import ShortWay
from treadle.platform.schedules import routes as schedules
from treadle.platform.services import Services
from treadle.platform.settings import Settings
from treadle.platform.templates import routes as templates
from treadle.platform.templates.library import TemplateLibrary
from treadle.platform.tracing.exporter import exporter_of
from treadle.platform.usage import routes as usage
from treadle.platform.webhooks import routes as webhooks
from treadle.platform.workspaces.service import bootstrap

ROUTERS = (
    # Routes are tried in this order: what is called most stands first.
    runs.router,
    health.router,
    auth.router,
    members.router,
    audit.router,
    usage.router,
    limits.router,
    endpoints.router,
    templates.router,
    agents.router,
    plans.router,
    retry.router,
    steering.router,
    approvals.router,
    connections.router,
    files.router,
    artifacts.router,
    schedules.router,
    hooks.router,
    webhooks.router,
    batches.router,
)

_DOCS_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


def create_app(settings: Settings | None = None) -> FastAPI:
    """Make the application; its lifespan migrates the database and makes the first key.

    Raises:
        ValueError: There is no database URL; `treadle up` starts one and names it.
    """
    settings = settings or Settings()
    services = wire(settings)
    app = FastAPI(
        title="Treadle",
        version=version("treadle"),
        description="Agents from YAML templates, run durably.",
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    for router in ROUTERS:
        app.include_router(router)
    install_problems(app)
    install_openapi(app)
    app.add_middleware(ShortWay, services=services, handlers=app.exception_handlers)
    app.add_middleware(Edge, exporter=services.exporter)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(
            docs_page(app.openapi()), headers={"Content-Security-Policy": _DOCS_POLICY}
        )

    return app


def wire(settings: Settings) -> Services:
    """Make the parts of an API process."""
    if settings.database_url is None:
        raise ValueError("TREADLE_DATABASE_URL is not set; `treadle up` brings a database along")
    database = Database(settings.database_url)
    secret = installation_secret(settings)
    numbers = EngineConnection(settings.database_url)
    process = f"api:{socket.gethostname()}:{settings.port}"
    library, tokens = TemplateLibrary(), WaitTokens(secret)
    return Services(
        settings=settings,
        database=database,
        keys=KeyRing(database, secret),
        vault=Vault(secret),
        tokens=tokens,
        witness=Witness(database, Chain(secret)),
        answers=AnswerSeal(secret),
        availability=Availability(),
        exposition=Exposition(numbers, process),
        publisher=Publisher(numbers, process),
        exporter=exporter_of(settings.otlp_endpoint, service="treadle-api"),
        templates=library,
        runs=RunService(
            database,
            library,
            database_url=settings.database_url,
            redis_url=settings.redis_url,
            tokens=tokens,
        ),
        launcher=Launcher(library),
    )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    services: Services = app.state.services
    if services.settings.database_url is not None:
        await asyncio.to_thread(migrate, services.settings.database_url)
    await bootstrap(services.database, services.settings)
    await services.runs.start()
    services.publisher.start()
    if services.exporter is not None:
        services.exporter.start()
    yield
    if services.exporter is not None:
        await services.exporter.stop()
    await services.publisher.stop()
    await services.runs.stop()
    await services.database.close()

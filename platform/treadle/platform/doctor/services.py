"""Questions to other programs: the database, the broker, the model endpoint."""

import asyncio
from http import HTTPStatus

import httpx
from sqlalchemy import create_engine
from sqlalchemy.engine import Connection
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from treadle.platform.db.database import driver_url
from treadle.platform.db.migrate import newest_revisions, present_revisions
from treadle.platform.doctor.finding import Finding, good, warning, wrong
from treadle.platform.embedded.home import Home
from treadle.platform.embedded.runtime import INSTALL, MODEL, REAL_MODEL, missing_parts
from treadle.platform.health.probes import Probe, is_reachable
from treadle.platform.settings import Settings
from treadle.platform.supervisor.record import read_record

_TIMEOUT_S = 5


def check_database(settings: Settings) -> Finding:
    """Ask whether PostgreSQL answers and has every table."""
    record = read_record(Home.at(settings.home))
    url = settings.database_url or (record.database_url if record else None)
    if url is None:
        return good("database", "embedded; `treadle up` starts it")
    try:
        engine = create_engine(
            driver_url(url), poolclass=NullPool, connect_args={"connect_timeout": _TIMEOUT_S}
        )
    except ArgumentError as error:
        return wrong(
            "database",
            f"TREADLE_DATABASE_URL is no URL: {error}",
            "write it as postgresql://user:password@host:5432/name",
        )
    try:
        with engine.connect() as connection:
            return _tables(connection)
    except SQLAlchemyError as error:
        return wrong(
            "database",
            f"no answer: {str(error.__cause__ or error).strip()}",
            "start PostgreSQL, or correct TREADLE_DATABASE_URL (user, password, host, name)",
        )


def check_broker(settings: Settings) -> Finding:
    """Ask whether something listens at the broker's URL."""
    record = read_record(Home.at(settings.home))
    url = settings.redis_url or (record.redis_url if record else None)
    if url is None:
        return good("broker", "embedded; `treadle up` starts it")
    probe = Probe.of(url)
    if asyncio.run(is_reachable(probe, timeout_s=_TIMEOUT_S)):
        return good("broker", f"listens at {probe.socket or f'{probe.host}:{probe.port}'}")
    return wrong(
        "broker",
        f"nothing listens at {probe.socket or f'{probe.host}:{probe.port}'}; runs are accepted,"
        " but begin only when the sweep finds them",
        "start Redis or Valkey, or correct TREADLE_REDIS_URL",
    )


def check_model(settings: Settings) -> Finding:
    """Ask the model endpoint for its models."""
    if settings.model_url is None:
        return _unnamed_model(settings)
    url = f"{settings.model_url.rstrip('/')}/models"
    key = settings.model_api_key
    headers = {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}
    try:
        status = httpx.get(url, headers=headers, timeout=_TIMEOUT_S).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return wrong("model", f"no answer from {url}: {error}", "correct TREADLE_MODEL_URL")
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return wrong("model", f"{url} refuses the key ({status})", "correct TREADLE_MODEL_API_KEY")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return wrong("model", f"{url} answers {status}", "look at that server's log")
    return good("model", f"{settings.model_url} answers")


def _unnamed_model(settings: Settings) -> Finding:
    """What answers where TREADLE_MODEL_URL is not set."""
    home = Home.at(settings.home)
    models_file = home.root / "models.yaml"
    if models_file.exists():
        return good("model", f"as {models_file} says")
    missing = missing_parts()
    if missing or not settings.embedded_model:
        why = f"{', '.join(missing)} not installed" if missing else "TREADLE_EMBEDDED_MODEL is off"
        return warning(
            "model",
            f"none ({why}): nodes that ask a model take their on_error value, or fail",
            f"{REAL_MODEL}; or for the embedded demonstrator: {INSTALL}",
        )
    record = read_record(home)
    url = None if record is None else record.model_url
    if url is None:
        return warning("model", f"{MODEL}, started by `treadle up`: it invents facts", REAL_MODEL)
    if asyncio.run(is_reachable(Probe.of(url), timeout_s=_TIMEOUT_S)):
        return warning("model", f"{MODEL} at {url}: it invents facts", REAL_MODEL)
    return warning(
        "model", f"{MODEL} does not answer at {url} yet", "wait, or read the lines of `runtime`"
    )


def _tables(connection: Connection) -> Finding:
    missing = newest_revisions() - present_revisions(connection)
    if missing:
        return warning(
            "database",
            f"answers, but lacks the migrations {', '.join(sorted(missing))}",
            "start `treadle api` or `treadle up`: they apply them",
        )
    return good("database", "answers, and has every table")

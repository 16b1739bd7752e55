"""A finished run as a cassette, for `treadle test --cassette`."""

from uuid import UUID

from sqlalchemy import select

from treadle.agents.cassettes import Cassette, Recorded, recorded_steps, redacted
from treadle.agents.language import Template
from treadle.agents.values import JsonObject, JsonValue
from treadle.integrations.registry import all_tools
from treadle.platform.db.database import TenantConnection
from treadle.platform.engine.leases import ENDED
from treadle.platform.engine.models import runs
from treadle.platform.errors import Conflict
from treadle.platform.runs.remaking import RunNotFinished
from treadle.platform.runs.repository import get_run, read_value, read_whole_log
from treadle.platform.runs.views import Progress, RunRow, is_dropped
from treadle.platform.templates.repository import get_text

LARGEST = 32 * 1024 * 1024


class CassetteTooLarge(Conflict):
    """What the run brought from outside is more than a file should hold."""

    code = "cassette_too_large"

    def __init__(self, size: int) -> None:
        super().__init__(
            f"the answers of this run have more than {size >> 20} MiB; record a run with less"
        )


class LogDropped(Conflict):
    """Retention took the run's log."""

    code = "log_dropped"

    def __init__(self, run: UUID) -> None:
        super().__init__(f"the steps of run {str(run)!r} are kept no longer; record a newer one")


async def record(tx: TenantConnection, run: UUID, template: Template) -> JsonObject:
    """The redacted cassette of a run that has ended; `template` is the one it was made by."""
    row = await get_run(tx, run)
    if row.status not in ENDED:
        raise RunNotFinished(row.id, row.status)
    progress = Progress()
    progress.add(await read_whole_log(tx, row.id))
    if is_dropped(row, progress):
        raise LogDropped(run)
    recorded = [_recorded(step) for step in progress.begun]
    steps = await _whole(tx, row, recorded_steps(template, all_tools(), recorded))
    bound = (await tx.execute(select(runs.c.connections).where(runs.c.id == run))).scalar_one()
    cassette = Cassette(
        run=str(row.id),
        template=row.template,
        version=row.version,
        text=await get_text(tx, row.sha256),
        inputs=row.inputs,
        connections=sorted(bound),
        status=row.status,
        outputs=row.outputs if isinstance(row.outputs, dict) else None,
        error=row.error if isinstance(row.error, dict) else None,
        steps=steps,
    )
    shown: JsonObject = redacted(cassette, template).model_dump(mode="json")
    return shown


def _recorded(step: JsonObject) -> Recorded:
    error = step["error"]
    return Recorded(
        path=str(step["path"]),
        status=str(step["status"]),
        output=step["output"],
        error=error if isinstance(error, dict) else None,
    )


async def _whole(tx: TenantConnection, run: RunRow, steps: list[Recorded]) -> list[Recorded]:
    """The steps with outputs that lie elsewhere brought in."""
    made: list[Recorded] = []
    size = 0
    for step in steps:
        reference = _reference(step.output)
        if reference is not None:
            ref, length = reference
            size += length
            if size > LARGEST:
                raise CassetteTooLarge(LARGEST)
            step = step.model_copy(update={"output": await read_value(tx, run.id, ref)})
        made.append(step)
    return made


def _reference(output: JsonValue) -> tuple[str, int] | None:
    match output:
        case {"$ref": str() as ref, "size": int() as size, **rest} if not rest:
            return ref, size
        case _:
            return None

"""How long a run was at work, as its log tells."""

from datetime import timedelta

import pytest
from tests.platform.engine.conftest import Engine

from treadle.agents.errors import Blocked
from treadle.agents.interpreter import Closed, Gate
from treadle.agents.language.model import Budget
from treadle.platform.engine.budgets import Purse
from treadle.platform.engine.connections import EngineConnection
from treadle.platform.engine.hours import Hours

pytestmark = pytest.mark.slow
LOG = [
    (2, 0, "run.started"),
    (3, 4, "step.succeeded"),
    (4, 5, "run.waiting"),
    (5, 400, "run.waiting"),  # paused meanwhile
    (6, 1000, "run.resumed"),
    (7, 1003, "step.succeeded"),  # and its worker died
    (8, 1020, "run.resumed"),
    (9, 1022, "run.waiting"),
    (10, 5000, "run.resumed"),
]


async def test_time_counts_over_owners_and_not_in_pauses(engine: Engine) -> None:
    run = await engine.accept()
    for seq, second, kind in LOG:
        await engine.sql(
            "INSERT INTO log (run_id, seq, workspace_id, at, entry) VALUES"
            " (%s, %s, %s, now() + make_interval(secs => %s), json_build_object('t', %s::text))",
            run,
            seq,
            engine.workspace,
            second,
            kind,
        )
    connection = EngineConnection(engine.url)
    hours = Hours(connection)
    worked = [await hours.worked(run, before=before) for before in (2, 6, 8, 10)]
    await connection.close()
    # To the millisecond: the rows have the time of their own transactions.
    assert [round(one.total_seconds()) for one in worked] == [0, 5, 8, 10]


async def test_who_has_no_time_left_begins_nothing() -> None:
    gate = Gate()
    purse = Purse(Budget(wall=timedelta(seconds=9)), gate, [], worked=timedelta(seconds=9))
    purse.start()
    with pytest.raises(Blocked) as blocked:
        gate.check()
    assert blocked.value.reason == Closed.BUDGET

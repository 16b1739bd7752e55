"""`treadle up`."""

from treadle.platform.cli.printing import new_app
from treadle.platform.settings import Settings
from treadle.platform.supervisor.console import Console
from treadle.platform.supervisor.up import up as supervise

app = new_app()


@app.command()
def up() -> None:
    """Run everything until Ctrl-C: PostgreSQL, Valkey, the API, a worker and a scheduler.

    Where no model is named (TREADLE_MODEL_URL, models.yaml), a small embedded one answers, too.

    With TREADLE_DATABASE_URL and TREADLE_REDIS_URL those databases are used instead.
    """
    supervise(Settings(), Console())

"""The API process: uvicorn on the application. `python -m treadle.platform.supervisor.api`."""

import gc
import sys
from collections.abc import Sequence

import uvicorn

from treadle.platform.app import create_app
from treadle.platform.log import configure_logging
from treadle.platform.settings import Settings

_STREAMS_END_S = 5  # event streams stay open for hours; their readers come back by themselves


def main(_: Sequence[str] = ()) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code."""
    configure_logging()
    settings = Settings()
    app = create_app(settings)
    # What stands until the end is not looked at again and again: a full collection stops the loop.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 100)
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,  # the application logs each request itself
        server_header=False,
        timeout_graceful_shutdown=_STREAMS_END_S,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""DBOS over HTTP, on a database of the same server."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
from stack import database
from stack.figures import Figures

from peers.in_process import PROGRAMS, peers_python
from peers.registry import Options
from peers.served import measure_paths, wait_for

NAMES = ("peer_dbos",)


def measure(options: Options) -> Iterator[Figures]:
    """Each workload is a workflow; what Treadle runs as nodes are its steps."""
    python = peers_python("dbos", "uvicorn", "uvloop", "httptools", "httpx")
    with psycopg.connect(options.database_url, autocommit=True) as connection:
        for name in NAMES:
            connection.execute(f"CREATE DATABASE {name}")
        row = connection.execute("SELECT current_setting('data_directory')").fetchone()
    assert row is not None
    urls = [database.sibling(options.database_url, name) for name in NAMES]
    arguments = [str(options.port), options.model_url, *urls]
    with (options.home / "dbos.log").open("wb") as log:
        process = subprocess.Popen(
            [python, str(PROGRAMS / "dbos_app.py"), *arguments], stdout=log, stderr=log
        )
    try:
        base = f"http://127.0.0.1:{options.port}"
        wait_for(base)
        pids = [process.pid, postmaster(Path(row[0]))]
        yield from measure_paths(options, base, pids, stack="dbos")
    finally:
        process.terminate()
        process.wait(30)
        with psycopg.connect(options.database_url, autocommit=True) as connection:
            for name in NAMES:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def postmaster(data: Path) -> int:
    """The server's process."""
    return int((data / "postmaster.pid").read_text(encoding="ascii").split("\n", 1)[0])

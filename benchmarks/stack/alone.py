"""The engine without HTTP and Celery, in one process of its own, on a database of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg

from stack import database
from stack.figures import Figures
from stack.service import Place

NAME = "engine_alone"
PROGRAM = "stack.engine_program"
BENCHMARKS = Path(__file__).parent.parent


def measure(place: Place, model_url: str, *, seconds: float) -> Iterator[Figures]:
    """Figures as the program prints them, on the server and the Valkey of a service that idles."""
    with psycopg.connect(place.database_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {NAME}")
    url = database.sibling(place.database_url, NAME)
    command = [sys.executable, "-m", PROGRAM, url, place.redis_url, model_url, str(seconds)]
    try:
        with subprocess.Popen(
            [*command, str(place.home)],
            env={**os.environ, "PYTHONPATH": str(BENCHMARKS)},
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("{"):
                    yield Figures(**json.loads(line))
        if process.returncode != 0:
            raise RuntimeError(f"{PROGRAM} ended with {process.returncode}")
    finally:
        with psycopg.connect(place.database_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {NAME} WITH (FORCE)")

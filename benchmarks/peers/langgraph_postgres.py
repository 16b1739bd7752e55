"""LangGraph with its own PostgreSQL saver, on a database of the same server."""

from collections.abc import Iterator

import psycopg
from stack import database
from stack.figures import Figures

from peers.in_process import peers_python, run_program
from peers.registry import Options

NAME = "peer_langgraph"


def measure(options: Options) -> Iterator[Figures]:
    """With a checkpoint per superstep, written before the next (`durability="sync"`)."""
    python = peers_python("langgraph.checkpoint.postgres", "psycopg_pool")
    with psycopg.connect(options.database_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {NAME}")
    try:
        url = database.sibling(options.database_url, NAME)
        before = database.count(url)
        arguments = [str(options.seconds), options.model_url, url]
        yield from run_program(python, "langgraph_runs.py", arguments, stack="langgraph+postgres")
        database.count(url).since(before)
    finally:
        with psycopg.connect(options.database_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {NAME} WITH (FORCE)")

"""The app on a database of its own, and a worker beside it."""

from tests.platform.runs.conftest import database, settings, worker

__all__ = ["database", "settings", "worker"]

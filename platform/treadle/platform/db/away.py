"""Telling a database that is away from one that refuses."""

from sqlalchemy.exc import DBAPIError


def is_away(error: BaseException) -> bool:
    """Whether SQLAlchemy failed because the server could not be reached or does not answer now."""
    if not isinstance(error, DBAPIError):
        return False
    # Class 57P (shut down, crashed, starting up) and class 08 (connection); without a code the
    # connection was never made.
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return type(error.orig).__name__ in {"OperationalError", "ConnectionTimeout"}
    return error.connection_invalidated or str(state).startswith(("57P", "08"))

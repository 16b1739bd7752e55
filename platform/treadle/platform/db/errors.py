"""What can go wrong with the database before the service may use it.

DatabaseUnfit              too old, or its user may not do what is needed
"""

from treadle.platform.errors import PlatformError


class DatabaseUnfit(PlatformError):
    """The database cannot be used as it is; the message says what to change."""

    code = "database_unfit"

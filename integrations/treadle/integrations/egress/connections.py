"""The opened side of a connection of type `http`."""

import httpx

from treadle.integrations.egress.client import GuardedClient, with_credential
from treadle.integrations.egress.credentials import HttpCredential


class HttpConnection:
    """Gives out clients that add the secret; the secret itself cannot be read from it.

    Args:
        guard: The client of the process; its guard and limits hold.
    """

    def __init__(
        self, connection_id: str, credential: HttpCredential, *, guard: GuardedClient
    ) -> None:
        self._id = connection_id
        self._client = with_credential(guard, credential)

    @property
    def type(self) -> str:
        """Always `http`."""
        return "http"

    @property
    def id(self) -> str:
        """Its id, safe to log."""
        return self._id

    def client(self) -> httpx.AsyncClient:
        """A client for the hosts that the connection names."""
        return self._client

"""What a failed request is called, and whether it can have had its effect."""

import httpcore
import httpx

from treadle.integrations.egress.urls import shown
from treadle.integrations.errors import Delivery, ErrorClass, ToolError

_REASONS: tuple[tuple[type[Exception], ErrorClass, str, str], ...] = (
    (httpcore.ConnectTimeout, ErrorClass.TIMEOUT, "connect_timeout", "did not accept a connection"),
    (httpcore.PoolTimeout, ErrorClass.TIMEOUT, "connect_timeout", "no connection became free"),
    (httpcore.ConnectError, ErrorClass.UPSTREAM, "unreachable", "could not be reached"),
    (httpcore.TimeoutException, ErrorClass.TIMEOUT, "read_timeout", "stopped answering"),
    (httpcore.LocalProtocolError, ErrorClass.INVALID_INPUT, "bad_request", "cannot be asked so"),
    (httpcore.ProtocolError, ErrorClass.UPSTREAM, "bad_answer", "does not speak HTTP properly"),
    (httpcore.NetworkError, ErrorClass.UPSTREAM, "connection_broken", "broke the connection"),
    (TimeoutError, ErrorClass.TIMEOUT, "total_timeout", "took longer than the whole request may"),
)
EXPECTED = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    TimeoutError,
)


def failure(error: Exception, url: httpx.URL, *, was_sent: bool) -> ToolError:
    """The tool error of a transport error in `EXPECTED`."""
    for kind, error_class, code, reason in _REASONS:
        if isinstance(error, kind):
            detail = f" ({error})" if str(error) else ""
            return ToolError(
                f"{shown(url)} {reason}{detail}",
                error_class=error_class,
                code=code,
                # A request that breaks HTTP's rules is stopped here, though it had begun.
                delivery=Delivery.UNKNOWN
                if was_sent and code != "bad_request"
                else Delivery.NOT_SENT,
            )
    raise AssertionError(error)  # `_REASONS` covers `EXPECTED`


def refused_answer(
    url: httpx.URL, reason: str, *, code: str, error_class: ErrorClass = ErrorClass.DENIED
) -> ToolError:
    """An answer that arrived and is not accepted: the request had its effect or had not."""
    return ToolError(
        f"{shown(url)} {reason}", error_class=error_class, code=code, delivery=Delivery.UNKNOWN
    )

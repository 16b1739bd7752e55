"""What a page's HTTP status means to a template."""

from http import HTTPStatus

import httpx

from treadle.integrations.errors import Delivery, ErrorClass, ToolError
from treadle.integrations.retry_after import retry_after_s

_CLASSES = {
    401: ErrorClass.DENIED,
    403: ErrorClass.DENIED,
    408: ErrorClass.TIMEOUT,
    429: ErrorClass.RATE_LIMIT,
    451: ErrorClass.DENIED,
}


def check_status(response: httpx.Response, url: str) -> None:
    """Raise `ToolError` (`http_404`, …) unless there is a page to read."""
    status = response.status_code
    if 200 <= status < 300:
        return
    default = ErrorClass.UPSTREAM if status >= 500 else ErrorClass.INVALID_INPUT
    raise ToolError(
        f"{url} answers with status {phrase(status)}",
        error_class=_CLASSES.get(status, default),
        code=f"http_{status}",
        delivery=Delivery.REFUSED if status < 500 else Delivery.UNKNOWN,
        retry_after_s=retry_after_s(response.headers),
    )


def phrase(status: int) -> str:
    """`404 Not Found`."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)

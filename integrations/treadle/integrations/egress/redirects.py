"""Following redirects by hand: every hop is a new request that is checked like the first."""

import re

import httpx

from treadle.integrations.egress.urls import check_form, origin_of, shown
from treadle.integrations.errors import Delivery, EgressDenied, ErrorClass, ToolError

STATUSES = frozenset({301, 302, 303, 307, 308})
# What goes along to another host; anything else may be a secret.
_HARMLESS = frozenset({"accept", "accept-encoding", "accept-language", "user-agent"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")


def location_of(response: httpx.Response, url: httpx.URL) -> httpx.URL | None:
    """Where a redirect leads, `None` for other answers; raises `ToolError` if it is malformed."""
    location = response.headers.get("location")
    if response.status_code not in STATUSES or location is None:
        return None
    if _CONTROL.search(location):
        raise _malformed(url, "control character or backslash")
    try:
        return url.join(location)
    except httpx.InvalidURL as error:
        raise _malformed(url, str(error)) from error


def next_request(request: httpx.Request, target: httpx.URL) -> httpx.Request:
    """The request of the next hop (GET or HEAD: no body); raises `EgressDenied`."""
    check_form(target)
    if request.url.scheme == "https" and target.scheme == "http":
        raise EgressDenied(
            f"{shown(request.url)} redirects from https to http, which is refused",
            code="redirect_downgraded",
        )
    headers = {
        name: value
        for name, value in request.headers.items()
        if name != "host" and (name in _HARMLESS or is_same_host(request.url, target))
    }
    return httpx.Request(
        request.method, target.copy_with(fragment=None), headers=headers,
        extensions=request.extensions,
    )  # fmt: skip


def is_same_host(first: httpx.URL, second: httpx.URL) -> bool:
    """Whether secrets may go along: the same host and port, or the same host from 80 to 443."""
    (host, port), (next_host, next_port) = origin_of(first), origin_of(second)
    return host == next_host and (port == next_port or (port, next_port) == (80, 443))


def _malformed(url: httpx.URL, reason: str) -> ToolError:
    return ToolError(
        f"{shown(url)} redirects to a malformed address ({reason})",
        error_class=ErrorClass.UPSTREAM,
        code="bad_redirect",
        delivery=Delivery.UNKNOWN,
    )

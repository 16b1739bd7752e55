"""The guarded transport: one request and all its hops, under one set of rules."""

import asyncio
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx
from typing_extensions import override

from treadle.integrations.egress.body import BoundedStream, encoding_of, too_large
from treadle.integrations.egress.credentials import HttpCredential
from treadle.integrations.egress.failures import EXPECTED, failure, refused_answer
from treadle.integrations.egress.policy import Policy
from treadle.integrations.egress.pools import Pools
from treadle.integrations.egress.redaction import Redactor
from treadle.integrations.egress.redirects import is_same_host, location_of, next_request
from treadle.integrations.egress.rules import Rules, note_answer, rules_of
from treadle.integrations.egress.urls import check_form, origin_of, parse_url, shown
from treadle.integrations.errors import EgressDenied, ErrorClass, ToolError

ENCODINGS = frozenset({"identity", "gzip"})
_BODILESS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class _Call:
    """What stays the same over the hops of one request."""

    rules: Rules
    policy: Policy
    deadline: float


class GuardedTransport(httpx.AsyncBaseTransport):
    """Checks, sends, follows, bounds. Raises `ToolError` and nothing of httpx.

    Args:
        pools: Where connections come from; shared by all transports of a process.
        credential: Added to requests for the hosts it names; others are refused.
        only: Hosts that a template names; others, redirects too, are refused. `None`: any.
    """

    def __init__(
        self,
        pools: Pools,
        *,
        rules: Rules,
        credential: HttpCredential | None = None,
        only: frozenset[str] | None = None,
    ) -> None:
        self.pools = pools
        self.rules = rules
        self._only = only
        self._credential = credential
        self._redactor = credential.redactor() if credential else Redactor()

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        rules = rules_of(request, self.rules)
        deadline = asyncio.get_running_loop().time() + rules.total_s
        call = _Call(rules, self._policy_of(rules), deadline)
        if self._credential is not None:
            self._credential.check(request.url, call.policy)
            request.headers.update(self._credential.headers)
        try:
            return await self._follow(request, call)
        finally:
            if self._credential is not None:  # the request may be shown; its secret may not
                for name in self._credential.headers:
                    request.headers.pop(name, None)

    @override
    async def aclose(self) -> None:
        """Close the pools; a transport with a credential or hosts of its own only borrows them."""
        if self._credential is None and self._only is None:
            await self.pools.aclose()

    def _policy_of(self, rules: Rules) -> Policy:
        if rules.configured_url is None:
            return self.pools.policy
        return self.pools.policy.with_origin(*origin_of(parse_url(rules.configured_url)))

    async def _follow(self, request: httpx.Request, call: _Call) -> httpx.Response:
        hops = call.rules.max_redirects if request.method in _BODILESS else 0
        start = request.url
        for hop in range(hops + 1):
            response = await self._send(request, call)
            target = await _target(response, request.url)
            if target is None or hops == 0:
                return response
            await response.aclose()
            if hop == hops:
                break
            if not is_same_host(request.url, target):
                call = _Call(call.rules, self.pools.policy, call.deadline)
            request = next_request(request, target)
        raise EgressDenied(
            f"{shown(start)} redirects more than {hops} times", code="too_many_redirects"
        )

    def _check_named(self, url: httpx.URL) -> None:
        if self._only is not None and not any(_is_of(url.host, host) for host in self._only):
            named = ", ".join(sorted(self._only))
            raise EgressDenied(
                f"refused to connect to {url.host!r}: the template names {named} here",
                code="host_undeclared",
            )

    async def _send(self, request: httpx.Request, call: _Call) -> httpx.Response:
        check_form(request.url)
        self._check_named(request.url)
        call.policy.check_host(*origin_of(request.url))
        sent = _Sent()
        try:
            async with asyncio.timeout_at(call.deadline):
                answer = await self.pools.pool(call.policy).handle_async_request(
                    _core_request(request, call.rules, sent)
                )
        except EXPECTED as error:
            raise failure(error, request.url, was_sent=sent.is_sent) from error
        response = _response(answer, request.url, call)
        note_answer(response.extensions, request.url, self._redactor)
        try:
            _check_head(answer, request, call.rules)
        except ToolError:
            await answer.aclose()
            raise
        return response


def _is_of(host: str, named: str) -> bool:
    """Whether a host is a named one, or `www.` apart from it: sites redirect between the two."""
    return host.lower().removeprefix("www.") == named.lower().removeprefix("www.")


class _Sent:
    """Whether the first byte of a request may have left; httpcore reports it as an event."""

    def __init__(self) -> None:
        self.is_sent = False

    async def trace(self, event: str, info: dict[str, Any]) -> None:  # Any: httpcore's own values
        if event == "http11.send_request_headers.started":
            self.is_sent = True


def _core_request(request: httpx.Request, rules: Rules, sent: _Sent) -> httpcore.Request:
    headers = httpx.Headers(request.headers)
    headers["Host"] = request.url.netloc.decode("ascii")
    headers["Accept-Encoding"] = "gzip"
    return httpcore.Request(
        method=request.method,
        url=httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        ),
        headers=headers.raw,
        content=request.stream,
        extensions={
            "timeout": {
                "connect": rules.connect_s,
                "read": rules.read_s,
                "write": rules.read_s,
                "pool": rules.connect_s,
            },
            "trace": sent.trace,
        },
    )


def _response(answer: httpcore.Response, url: httpx.URL, call: _Call) -> httpx.Response:
    headers = [
        (name, value)
        for name, value in answer.headers
        # The body is handed on decoded: these two would no longer be true.
        if encoding_of(answer) == "identity"
        or name.lower() not in {b"content-encoding", b"content-length"}
    ]
    stream = BoundedStream(answer, url=url, rules=call.rules, deadline=call.deadline)
    return httpx.Response(answer.status, headers=headers, stream=stream)


def _check_head(answer: httpcore.Response, request: httpx.Request, rules: Rules) -> None:
    """Refuse by the headers what need not be read."""
    headers = httpx.Headers(answer.headers)
    encoding = encoding_of(answer)
    if encoding not in ENCODINGS:
        raise refused_answer(
            request.url,
            f"answered with the content encoding {encoding!r}; only gzip was asked for",
            code="bad_encoding",
            error_class=ErrorClass.UPSTREAM,
        )
    length = headers.get("content-length", "")
    if request.method != "HEAD" and length.isdecimal() and int(length) > rules.max_wire_bytes:
        raise too_large(request.url, rules.max_wire_bytes)
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    is_wanted = rules.content_types is None or not kind or kind in rules.content_types
    if not is_wanted and 200 <= answer.status < 300:
        raise refused_answer(
            request.url,
            f"is {kind!r}; only {', '.join(rules.content_types or ())} can be read",
            code="content_type_refused",
            error_class=ErrorClass.INVALID_INPUT,
        )


async def _target(response: httpx.Response, url: httpx.URL) -> httpx.URL | None:
    """Where an answer redirects to; it is closed if that is malformed."""
    try:
        return location_of(response, url)
    except ToolError:
        await response.aclose()
        raise

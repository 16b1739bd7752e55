"""What both clients share: how a call becomes a request, and an answer a value or an error."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from treadle.agents.errors import Issue
from treadle.platform.client.call import Call
from treadle.platform.client.errors import ApiError, Unreachable

T = TypeVar("T")

PAUSES_S = (0.1, 0.3, 0.9)
"""Between attempts; together longer than a restart of the API takes to listen again."""
_LONGEST_DETAIL = 300


class Problem(BaseModel):
    """RFC 9457 problem details, as the service writes them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    title: str = "error"
    code: str = "unknown"
    detail: str | None = None
    issues: tuple[Issue, ...] = ()


@dataclass(frozen=True, slots=True)
class Wire:
    """Where the service is, and with which key."""

    url: str
    key: str | None

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of every request."""
        return {} if self.key is None else {"Authorization": f"Bearer {self.key}"}

    def request(self, http: httpx.Client | httpx.AsyncClient, call: Call[T]) -> httpx.Request:
        """Make the request of a call."""
        query = {name: value for name, value in call.query.items() if value is not None}
        return http.build_request(
            call.method,
            self.url.rstrip("/") + call.path,
            params=query,
            json=call.json,
            content=call.content,
            files=None if call.file is None else {"file": call.file},
            headers={**self.headers, **call.headers},
            timeout=call.timeout_s,
        )

    def read(self, call: Call[T], response: httpx.Response) -> T:
        """Read an answer.

        Raises:
            ApiError: It is a problem, or no answer of this API.
        """
        if response.status_code not in call.accepts:
            raise_problem(response)
        try:
            return call.read(response)
        except ValidationError as error:
            raise ApiError(
                response.status_code,
                "unexpected_answer",
                f"{call.method} {call.path}: the answer has another shape than this client knows;"
                f" is something else at {self.url}? {error.errors()[0]['msg']}",
            ) from error

    def pause_s(self, call: Call[T], attempt: int, error: httpx.TransportError) -> float:
        """Return how long to wait before the next attempt.

        Raises:
            Unreachable: There is none.
        """
        sent = not isinstance(error, httpx.ConnectError)
        if attempt >= len(PAUSES_S) or (sent and not call.is_repeatable):
            raise Unreachable(self.url, str(error) or type(error).__name__) from error
        return PAUSES_S[attempt] * (0.5 + random.random())  # noqa: S311 - spreads clients, no secret


def raise_problem(response: httpx.Response) -> None:
    """Turn an error answer, already read, into an `ApiError`."""
    if response.status_code < HTTPStatus.BAD_REQUEST:
        return
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        text = response.text.strip()[:_LONGEST_DETAIL]
        raise ApiError(response.status_code, "unknown", text or response.reason_phrase) from None
    raise ApiError(
        response.status_code,
        problem.code,
        problem.detail or problem.title,
        issues=problem.issues,
    )

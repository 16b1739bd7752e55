"""`http.request`: any call to any API, with credentials only through a connection."""

import json
from typing import Literal

import httpx
from pydantic import ConfigDict, Field, JsonValue, model_validator

from treadle.integrations.base import DESTINATION, Effect, Params, Result, ToolContext, tool
from treadle.integrations.egress import Redactor, Rules, parse_url, redactor_of
from treadle.integrations.errors import Delivery, ErrorClass, ToolError
from treadle.integrations.http.expectation import ExpectedStatus, is_expected
from treadle.integrations.retry_after import retry_after_s
from treadle.integrations.web.statuses import phrase
from treadle.integrations.web.text import decode

READING = frozenset({"GET", "HEAD"})
# Set by the guard, the connection and the engine; in a template they would only do harm.
RESERVED = frozenset(
    {
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "cookie",
        "host",
        "idempotency-key",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
HIDDEN = frozenset({"set-cookie", "set-cookie2"})
EXCERPT = 300  # characters of an unexpected answer that the error shows

# The node's own timeout (2 m unless set) is the real bound.
_RULES = Rules(read_s=120.0, total_s=600.0)

Scalar = bool | int | float | str


class RequestParams(Params):
    """One request. At most one of `json` and `body`."""

    # `json` names a method of every pydantic model, so the field has another name inside.
    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_by_name=True, serialize_by_alias=True
    )

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = "GET"
    url: str = Field(
        description="Address, http or https.", title="Address", json_schema_extra=DESTINATION
    )
    headers: dict[str, str] = Field(
        default_factory=dict[str, str], description="Without credentials: those are a connection's."
    )
    query: dict[str, Scalar | list[Scalar] | None] = Field(
        default_factory=dict[str, Scalar | list[Scalar] | None],
        description="Added to the address; null leaves a name out, a list repeats it.",
    )
    json_body: JsonValue = Field(default=None, alias="json", description="Body, sent as JSON.")
    body: str | None = Field(default=None, description="Body, sent as text.")
    expect: list[ExpectedStatus] | None = Field(
        default=None,
        description="Statuses that are fine, as [200, 2xx]; default: not 5xx, 429.",
    )
    repeat: Literal["keyed", "never"] = Field(
        default="keyed",
        description="`keyed`: the receiver knows a repeated Idempotency-Key. `never`: it does not.",
    )

    @property
    def has_json(self) -> bool:
        """Whether `json` was given, be it null."""
        return "json_body" in self.model_fields_set

    @model_validator(mode="after")
    def _check(self) -> "RequestParams":
        if self.has_json and self.body is not None:
            raise ValueError("give json or body, not both")
        for name in self.headers:
            if name.lower() in RESERVED:
                raise ValueError(
                    f"the header {name!r} is not a template's to set; credentials belong in a "
                    "connection of type http"
                )
        return self


class Answer(Result):
    """What came back, whatever the status."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_by_name=True, serialize_by_alias=True
    )

    status: int
    headers: dict[str, str] = Field(description="Names in lower case.")
    body: str = Field(description="The body as text.")
    json_body: JsonValue = Field(alias="json", description="The body read as JSON, else null.")


def _effect(params: RequestParams) -> Effect:
    if params.method in READING:
        return Effect.READ
    return Effect.ONCE if params.repeat == "never" else Effect.KEYED


@tool("http.request", effect=_effect, connection="http", connection_optional=True)
async def send_request(ctx: ToolContext, params: RequestParams) -> Answer:
    """Call any HTTP API; any status is a result unless `expect` says otherwise."""
    client = ctx.connection.client() if ctx.connection else ctx.http
    response = await client.send(_build(client, params, key=ctx.idempotency_key))
    redactor = redactor_of(response)
    if not is_expected(response.status_code, params.expect):
        raise _unexpected(response, params, redactor)
    text = decode(response.content, response.headers.get("content-type", ""))
    return Answer.model_validate(
        {
            "status": response.status_code,
            "headers": {
                name: redactor.redact_values(value)
                for name, value in response.headers.items()
                if name not in HIDDEN
            },
            "body": redactor.redact_values(text),
            "json": redactor.redact_json(_parse(text, response.headers.get("content-type", ""))),
        }
    )


def _build(client: httpx.AsyncClient, params: RequestParams, *, key: str) -> httpx.Request:
    url = parse_url(params.url)
    query = tuple(
        (name, _text(item)) for name, value in params.query.items() for item in _items(value)
    )
    headers = dict(params.headers)
    content = params.body
    if params.has_json:
        content = json.dumps(params.json_body, ensure_ascii=False, separators=(",", ":"))
        if not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = "application/json"
    if params.method not in READING:
        headers["Idempotency-Key"] = key
    try:
        return client.build_request(
            params.method,
            url.copy_merge_params(query) if query else url,
            headers=headers,
            content=content,
            extensions=_RULES.extensions(),
        )
    except (ValueError, TypeError) as error:  # a header that HTTP cannot carry
        raise ToolError(
            f"the request cannot be written: {error}",
            error_class=ErrorClass.INVALID_INPUT,
            code="bad_request",
        ) from error


def _items(value: Scalar | list[Scalar] | None) -> list[Scalar]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _parse(text: str, content_type: str) -> JsonValue:
    """The body as JSON if it says so or begins like it."""
    if "json" not in content_type.lower() and not text.lstrip().startswith(("{", "[")):
        return None
    try:
        value: JsonValue = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value


def _unexpected(response: httpx.Response, params: RequestParams, redactor: Redactor) -> ToolError:
    status = response.status_code
    text = decode(response.content, response.headers.get("content-type", ""))
    excerpt = " ".join(redactor.redact(text).split())[:EXCERPT]
    said = f": {excerpt}" if excerpt else ""
    host = response.url.host
    return ToolError(
        f"{params.method} to {host} answered {phrase(status)}{said}",
        error_class=ErrorClass.UPSTREAM,
        code=f"http_{status}",
        delivery=Delivery.REFUSED if 400 <= status < 500 else Delivery.UNKNOWN,
        retry_after_s=retry_after_s(response.headers),
    )

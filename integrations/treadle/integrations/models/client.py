"""All model endpoints behind one call (docs/adr/0007: why not the openai package)."""

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from http import HTTPStatus
from typing import TYPE_CHECKING

from anyio import CapacityLimiter
from typing_extensions import override

from treadle.integrations.egress import Redactor
from treadle.integrations.errors import ErrorClass, ToolError
from treadle.integrations.models.answers import Answer, read_answer, read_body
from treadle.integrations.models.calls import ChatRequest, Completion, ModelClient
from treadle.integrations.models.endpoints import AnswerFormat, Endpoint, EndpointTable
from treadle.integrations.models.exchange import ExchangeFailed
from treadle.integrations.models.failures import Complaints
from treadle.integrations.models.usage import tokens_of
from treadle.integrations.models.wire import request_body

if TYPE_CHECKING:
    from treadle.integrations.models.transport import Transport

# Whom a fallback may help: not a wrong request, not a wrong key.
FALLS_BACK = frozenset({ErrorClass.UPSTREAM, ErrorClass.RATE_LIMIT})
# What an endpoint that refuses one way of asking for JSON is asked next.
SIMPLER: Mapping[AnswerFormat, AnswerFormat] = {
    "json_schema": "json_object",
    "json_object": "none",
}

OnDelta = Callable[[str], None]


class OpenAIModelClient(ModelClient):
    """Speaks the OpenAI protocol to the endpoints of a table; one serves a whole process.

    The endpoints are the owner's choice, so their addresses may be private. Close it at the end.
    """

    def __init__(self, endpoints: EndpointTable) -> None:
        self._endpoints = endpoints
        self._transport: Transport | None = None
        self._places = {
            alias: CapacityLimiter(limit)
            for alias, endpoint in endpoints.endpoints.items()
            if (limit := endpoint.limits.concurrency) is not None
        }
        self._formats: dict[str, AnswerFormat] = {}

    @property
    @override
    def available(self) -> bool:
        return bool(self._endpoints.endpoints)

    @override
    async def complete(
        self, request: ChatRequest, *, timeout_s: float, on_delta: OnDelta | None = None
    ) -> Completion:
        chain = self._endpoints.chain(request.model)
        heard = _Heard(on_delta)
        deadline = asyncio.get_running_loop().time() + timeout_s
        for index, (alias, endpoint) in enumerate(chain):
            complaints = Complaints(alias, _redactor(endpoint))
            try:
                async with asyncio.timeout_at(deadline), self._places.get(alias, nullcontext()):
                    return await self._ask(alias, endpoint, request, complaints, heard)
            except TimeoutError as error:
                raise complaints.late(timeout_s) from error
            except ToolError as error:
                is_last = index == len(chain) - 1
                if is_last or heard.anything or error.error_class not in FALLS_BACK:
                    raise
        raise AssertionError(chain)  # a chain has at least one endpoint

    def share_among(self, processes: int) -> None:
        """Keep to one process's part of each `limits.concurrency`; at least one call."""
        for alias, places in self._places.items():
            limit = self._endpoints.endpoints[alias].limits.concurrency
            places.total_tokens = max(1, (limit or 1) // processes)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._transport is not None:
            await self._transport.close()

    def _opened(self) -> "Transport":
        if self._transport is None:
            # Here, as it takes a tenth of a second and 8 MB, and many a worker asks no model.
            from treadle.integrations.models.transport import Transport  # noqa: PLC0415

            self._transport = Transport()
        return self._transport

    async def _ask(
        self,
        alias: str,
        endpoint: Endpoint,
        request: ChatRequest,
        complaints: Complaints,
        heard: "_Heard",
    ) -> Completion:
        if not endpoint.images and any(message.images for message in request.messages):
            raise complaints.no_images()
        while True:
            answer_format = self._formats.get(alias, endpoint.response_format)
            body = request_body(
                request,
                endpoint,
                model=endpoint.model or alias,
                answer_format=answer_format,
                is_streamed=heard.on_delta is not None,
            )
            try:
                answer = await self._post(endpoint, body, complaints, heard)
            except ToolError as error:
                simpler = SIMPLER.get(answer_format)
                if request.schema is None or simpler is None or not _is_format_refused(error):
                    raise
                self._formats[alias] = simpler
            else:
                return _completion(alias, endpoint, request, answer)

    async def _post(
        self, endpoint: Endpoint, body: dict[str, object], complaints: Complaints, heard: "_Heard"
    ) -> Answer:
        headers = {
            "Accept": "text/event-stream, application/json",
            "Content-Type": "application/json",
        }
        if endpoint.key is not None:
            headers["Authorization"] = f"Bearer {endpoint.key.get_secret_value()}"
        url = f"{endpoint.url}/chat/completions"
        try:
            async with self._opened().post(url, _encoded(body), headers) as response:
                if response.status != HTTPStatus.OK:
                    raise complaints.status(response, await read_body(response, complaints))
                return await read_answer(response, complaints, heard.callback)
        except ExchangeFailed as error:
            raise complaints.transport(error) from error


class _Heard:
    """Passes pieces on and remembers that there was one: a fallback would begin again."""

    def __init__(self, on_delta: OnDelta | None) -> None:
        self.on_delta = on_delta
        self.anything = False

    @property
    def callback(self) -> OnDelta | None:
        return None if self.on_delta is None else self._take

    def _take(self, piece: str) -> None:
        self.anything = True
        if self.on_delta is not None:
            self.on_delta(piece)


def _encoded(body: dict[str, object]) -> bytes:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode()


def _redactor(endpoint: Endpoint) -> Redactor:
    return Redactor(endpoint.key.get_secret_value()) if endpoint.key else Redactor()


def _is_format_refused(error: ToolError) -> bool:
    return error.code == "model_refused" and any(
        word in error.message for word in ("response_format", "json_schema", "json_object")
    )


def _completion(alias: str, endpoint: Endpoint, request: ChatRequest, answer: Answer) -> Completion:
    called = "".join(call.name + call.arguments for call in answer.tool_calls)
    said = answer.text + (answer.reasoning or "") + called
    return Completion(
        text=answer.text,
        reasoning=answer.reasoning,
        finish_reason=answer.finish_reason,
        tokens=tokens_of(answer.usage, endpoint.price, messages=request.messages, answer=said),
        model=answer.model or endpoint.model or alias,
        endpoint=alias,
        tool_calls=answer.tool_calls,
    )

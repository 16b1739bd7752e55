"""`POST /v1/responses`, its basic form: items in, items out, nothing kept between requests."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from secrets import token_hex
from time import time
from typing import ClassVar, Literal, Protocol

from pydantic import Field, JsonValue

from treadle.model_runtime.errors import BadRequest
from treadle.model_runtime.parse import Event as Parsed
from treadle.model_runtime.server.chat import Chat, prepare_chat
from treadle.model_runtime.server.constraints import Constraints
from treadle.model_runtime.server.errors import parsed
from treadle.model_runtime.server.generation import Caller, Served
from treadle.model_runtime.server.items import messages_of
from treadle.model_runtime.server.output import Event, Output
from treadle.model_runtime.server.schemas import (
    IGNORED,
    ChatRequest,
    ClientBody,
    NamedFunction,
    Strict,
)

LOGPROBS = "message.output_text.logprobs"
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class TextFormat(Strict):
    """Free text, any JSON object, or what matches a schema."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    name: str = "answer"
    description: str | None = None
    schema_: JsonValue = Field(default=None, alias="schema")
    strict: bool | None = None


class Text(Strict):
    """How the answer's text is written."""

    format: TextFormat = TextFormat()
    verbosity: str | None = None


class Reasoning(Strict):
    """How much is thought."""

    effort: Effort | None = None
    summary: str | None = None
    generate_summary: str | None = None


class FunctionTool(Strict):
    """A function, told without the envelope that chats have."""

    type: Literal["function"]
    name: str
    description: str | None = None
    parameters: dict[str, JsonValue] | None = None
    strict: bool | None = None


class ChosenTool(NamedFunction):
    """A function that must be called."""

    type: Literal["function"] = "function"


class ResponseRequest(ClientBody):
    """What is asked; what would have to be kept is refused by name."""

    ignored: ClassVar[frozenset[str]] = IGNORED | {"store", "truncation", "stream_options"}

    input: str | list[dict[str, JsonValue]]
    instructions: str | None = None
    max_output_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    tools: list[FunctionTool] = Field(default_factory=list[FunctionTool])
    tool_choice: Literal["none", "auto", "required"] | ChosenTool = "auto"
    parallel_tool_calls: bool = True
    text: Text = Text()
    reasoning: Reasoning | None = None
    stream: bool = False
    include: list[str] = Field(default_factory=list[str])
    background: bool = False
    previous_response_id: str | None = None
    conversation: JsonValue = None

    @property
    def effort(self) -> Effort | None:
        """How much is to be thought."""
        return None if self.reasoning is None else self.reasoning.effort


@dataclass(frozen=True, slots=True)
class Tokens:
    """What an answer took and made."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0
    reasoning: int = 0


class Spoken(Protocol):
    """A chat's answer, whoever gives it; `finish` and `tokens` are known when it is read."""

    @property
    def model(self) -> str:
        """The name under which it is served."""
        ...

    @property
    def finish(self) -> str | None:
        """Why it ended, in OpenAI's word."""
        ...

    @property
    def tokens(self) -> Tokens:
        """Counted when it is read."""
        ...

    def read(self) -> AsyncGenerator[Sequence[Parsed]]:
        """What is said, piece by piece; nothing after a long silence."""
        ...


@dataclass(frozen=True, slots=True)
class OwnSpoken:
    """The answer of this process's engine."""

    chat: Chat

    @property
    def model(self) -> str:
        """The checkpoint's name."""
        return self.chat.served.checkpoint.name

    @property
    def finish(self) -> str | None:
        """Of the only choice."""
        return self.chat.answers[0].finish

    @property
    def tokens(self) -> Tokens:
        """Of the only choice."""
        answer = self.chat.answers[0]
        usage = answer.usage
        return Tokens(usage.prompt, usage.cached, usage.completion, answer.reasoning_tokens)

    async def read(self) -> AsyncGenerator[Sequence[Parsed]]:
        """As it is made."""
        async with aclosing(self.chat.read()) as reading:
            async for several in reading:
                events = [event for read in several for event in read.events]
                if events or not several:
                    yield events


@dataclass(frozen=True, slots=True)
class Answered:
    """One request, ready to run."""

    id: str
    created: int
    body: ResponseRequest
    spoken: Spoken

    async def respond(self) -> JsonValue:
        """The whole answer."""
        output = Output()
        async with aclosing(self.spoken.read()) as reading:
            async for events in reading:
                output.take(events)
        output.close(complete=self._is_complete)
        return self._told(output, self._status)

    async def stream(self) -> AsyncGenerator[Sequence[Event]]:
        """Numbered events, from `response.created` to `response.completed` or `.incomplete`."""
        output = Output()
        for name in ("response.created", "response.in_progress"):
            output.tell(name, response=self._told(output, "in_progress"))
        yield output.told()
        async with aclosing(self.spoken.read()) as reading:
            async for events in reading:
                output.take(events)
                if (told := output.told()) or not events:
                    yield told
        output.close(complete=self._is_complete)
        output.tell(f"response.{self._status}", response=self._told(output, self._status))
        yield output.told()

    @property
    def _is_complete(self) -> bool:
        return self.spoken.finish != "length"

    @property
    def _status(self) -> str:
        return "completed" if self._is_complete else "incomplete"

    def _told(self, output: Output, status: str) -> JsonValue:
        body = self.body
        cut: JsonValue = {"reason": "max_output_tokens"} if status == "incomplete" else None
        tools: list[JsonValue] = [tool.model_dump() for tool in body.tools]
        choice = body.tool_choice
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": cut,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "model": self.spoken.model,
            "output": output.items,
            "parallel_tool_calls": body.parallel_tool_calls,
            "previous_response_id": None,
            "reasoning": {"effort": body.effort, "summary": None},
            "store": False,
            "temperature": body.temperature,
            "text": {"format": body.text.format.model_dump(by_alias=True, exclude_none=True)},
            "tool_choice": choice if isinstance(choice, str) else choice.model_dump(),
            "tools": tools,
            "top_p": body.top_p,
            "truncation": "disabled",
            "usage": None if status == "in_progress" else self._usage(),
            "metadata": {},
        }

    def _usage(self) -> JsonValue:
        tokens = self.spoken.tokens
        return {
            "input_tokens": tokens.prompt,
            "input_tokens_details": {"cached_tokens": tokens.cached},
            "output_tokens": tokens.completion,
            "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
            "total_tokens": tokens.prompt + tokens.completion,
        }


async def prepare_response(
    body: ResponseRequest, served: Served, caller: Caller, constraints: Constraints
) -> Answered:
    """As a chat, ready to run.

    Raises:
        RequestError: The request cannot be served.
    """
    chat = await prepare_chat(chat_of(body), served, caller, constraints)
    return answered(body, OwnSpoken(chat))


def answered(body: ResponseRequest, spoken: Spoken) -> Answered:
    """The request with whoever answers it."""
    return Answered(f"resp_{token_hex(16)}", int(time()), body, spoken)


def _refuse_kept(body: ResponseRequest) -> None:
    kept = {
        "previous_response_id": body.previous_response_id,
        "conversation": body.conversation,
        "background": body.background,
    }
    for name, value in kept.items():
        if value:
            raise BadRequest(
                f"nothing is kept between requests here: send all of the input, not {name!r}",
                code="unsupported_parameter",
                param=name,
            )
    if LOGPROBS in body.include:
        raise BadRequest(
            "log-probabilities are told by /v1/chat/completions only",
            code="unsupported_value",
            param="include",
        )


def chat_of(body: ResponseRequest) -> ChatRequest:
    """The same request as messages.

    Raises:
        BadRequest: It asks for what would have to be kept, or for what is not served.
    """
    _refuse_kept(body)
    instructions: list[JsonValue] = []
    if body.instructions:
        instructions.append({"role": "system", "content": body.instructions})
    choice = body.tool_choice
    fields: dict[str, JsonValue] = {
        "model": body.model,
        "messages": [*instructions, *messages_of(body.input)],
        "max_completion_tokens": body.max_output_tokens,
        "temperature": body.temperature,
        "top_p": body.top_p,
        "tools": [_tool(tool) for tool in body.tools],
        "tool_choice": choice
        if isinstance(choice, str)
        else {"type": "function", "function": {"name": choice.name}},
        "parallel_tool_calls": body.parallel_tool_calls,
        "response_format": _format(body.text.format),
        "reasoning_effort": body.effort,
    }
    return parsed(ChatRequest, fields)


def _tool(tool: FunctionTool) -> JsonValue:
    function = tool.model_dump(exclude={"type"}, exclude_none=True)
    return {"type": "function", "function": function}


def _format(told: TextFormat) -> JsonValue:
    if told.type != "json_schema":
        return {"type": told.type}
    if told.schema_ is None:
        raise BadRequest("give the schema", param="text.format.schema")
    return {"type": told.type, "json_schema": {"name": told.name, "schema": told.schema_}}

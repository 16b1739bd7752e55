"""`POST /v1/responses`, its basic form: items in, items out, nothing kept between requests."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from secrets import token_hex
from time import time
from typing import ClassVar, Literal

from pydantic import Field, JsonValue

from treadle.model_runtime.errors import BadRequest
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
class Answered:
    """One request, ready to run."""

    id: str
    created: int
    body: ResponseRequest
    chat: Chat

    async def respond(self) -> JsonValue:
        """The whole answer."""
        output = Output()
        async with aclosing(self.chat.read()) as reading:
            async for several in reading:
                for read in several:
                    output.take(read.events)
        output.close(complete=self._is_complete)
        return self._told(output, self._status)

    async def stream(self) -> AsyncGenerator[Sequence[Event]]:
        """Numbered events, from `response.created` to `response.completed` or `.incomplete`."""
        output = Output()
        for name in ("response.created", "response.in_progress"):
            output.tell(name, response=self._told(output, "in_progress"))
        yield output.told()
        async with aclosing(self.chat.read()) as reading:
            async for several in reading:
                for read in several:
                    output.take(read.events)
                if (told := output.told()) or not several:
                    yield told
        output.close(complete=self._is_complete)
        output.tell(f"response.{self._status}", response=self._told(output, self._status))
        yield output.told()

    @property
    def _is_complete(self) -> bool:
        return self.chat.answers[0].finish != "length"

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
            "model": self.chat.served.checkpoint.name,
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
        answer = self.chat.answers[0]
        usage = answer.usage
        return {
            "input_tokens": usage.prompt,
            "input_tokens_details": {"cached_tokens": usage.cached},
            "output_tokens": usage.completion,
            "output_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
            "total_tokens": usage.prompt + usage.completion,
        }


async def prepare_response(
    body: ResponseRequest, served: Served, caller: Caller, constraints: Constraints
) -> Answered:
    """As a chat, ready to run.

    Raises:
        RequestError: The request cannot be served.
    """
    _refuse_kept(body)
    chat = await prepare_chat(_chat_of(body), served, caller, constraints)
    return Answered(f"resp_{token_hex(16)}", int(time()), body, chat)


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


def _chat_of(body: ResponseRequest) -> ChatRequest:
    """The same request as messages."""
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

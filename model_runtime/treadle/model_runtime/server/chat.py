"""`POST /v1/chat/completions`."""

import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from time import time

from pydantic import JsonValue

from treadle.model_runtime.chat import opens_thinking
from treadle.model_runtime.errors import BadRequest
from treadle.model_runtime.parse import (
    HERMES,
    AnswerParser,
    CallArguments,
    CallBegins,
    CallEnds,
    Content,
    Event,
    Reasoning,
    format_of,
)
from treadle.model_runtime.request import Choice, Progress, Request, Usage
from treadle.model_runtime.server.constraints import Constraints
from treadle.model_runtime.server.generation import (
    Caller,
    Served,
    limits_of,
    refuse_failed,
    requests_of,
    sampling_of,
)
from treadle.model_runtime.server.running import Running
from treadle.model_runtime.server.schemas import ChatRequest, Message
from treadle.model_runtime.server.tools import Dialect, in_words
from treadle.model_runtime.server.wire import chat_logprobs, finish_name, usage_body

# How DeepSeek's and others' templates call the switch for reasoning.
SWITCHES = ("thinking", "enable_thinking")


@dataclass(slots=True)
class Answer:
    """One choice as it grows; calls beyond `most_calls` are left out."""

    parser: AnswerParser
    most_calls: int | None = None
    reasoning: str = ""
    content: str = ""
    calls: list[dict[str, JsonValue]] = field(default_factory=list[dict[str, JsonValue]])
    complete_calls: int = 0
    reasoning_tokens: int = 0
    logprobs: list[JsonValue] = field(default_factory=list[JsonValue])
    usage: Usage = field(default_factory=lambda: Usage(0, 0, 0))
    finish: str | None = None

    def take(self, progress: Progress) -> list[Event]:
        """Read what came; the events in it."""
        if self.parser.reasoning:
            self.reasoning_tokens += len(progress.choices)
        events = self.parser.feed(progress.text)
        if progress.finish is not None:
            events += self.parser.finish()
        if self.most_calls is not None:
            events = [item for item in events if _call_number(item) < self.most_calls]
        for item in events:
            self._note(item)
        self.usage = progress.usage
        self.finish = finish_name(progress.finish, called=self.complete_calls > 0)
        return events

    def _note(self, item: Event) -> None:
        match item:
            case Reasoning():
                self.reasoning += item.text
            case Content():
                self.content += item.text
            case CallBegins():
                self.calls.append(call_body(item))
            case CallArguments():
                function = self.calls[item.index]["function"]
                assert isinstance(function, dict)  # noqa: S101 - made by `call_body`
                function["arguments"] = f"{function['arguments']}{item.text}"
            case CallEnds():
                self.complete_calls += 1


@dataclass(frozen=True, slots=True)
class Read:
    """One step of one choice, the events in it, and why it ended if it did."""

    place: int
    progress: Progress
    events: Sequence[Event]
    finish: str | None


@dataclass(frozen=True, slots=True)
class Chat:
    """One request, ready to run."""

    id: str
    created: int
    body: ChatRequest
    served: Served
    requests: Sequence[Sequence[Request]]
    answers: Sequence[Answer]

    async def read(self) -> AsyncGenerator[Sequence[Read]]:
        """What came, read into the answers, up to the end; nothing after a long silence.

        Raises:
            RequestError: It cannot be served after all.
        """
        with Running(self.served.service, self.requests, self.served.timing) as running:
            async for arrived in running.progress():
                yield [self._read(place, item) for place, item in arrived]

    def _read(self, place: int, progress: Progress) -> Read:
        refuse_failed(progress, self.served)
        answer = self.answers[place]
        events = answer.take(progress)
        return Read(place, progress, events, answer.finish)

    async def respond(self) -> JsonValue:
        """The whole answer."""
        async with aclosing(self.read()) as reading:
            async for several in reading:
                for item in several:
                    self.answers[item.place].logprobs += self._logprobs(item.progress.choices)
        return {
            **self._envelope("chat.completion"),
            "choices": [self._choice(index, answer) for index, answer in enumerate(self.answers)],
            "usage": self._usage(),
        }

    async def stream(self) -> AsyncGenerator[Sequence[JsonValue]]:
        """The chunks: the role first, then pieces, at last the usage if it is wanted.

        After a long silence none at all.
        """
        role: dict[str, JsonValue] = {"role": "assistant", "content": ""}
        yield [self._chunk(index, role) for index in range(len(self.answers))]
        async with aclosing(self.read()) as reading:
            async for several in reading:
                chunks = [chunk for item in several for chunk in self._chunks(item)]
                if chunks or not several:
                    yield chunks
        if self.body.includes_usage:
            envelope = self._envelope("chat.completion.chunk")
            yield [{**envelope, "choices": [], "usage": self._usage()}]

    def _chunks(self, read: Read) -> list[JsonValue]:
        """The chunks of one step; its log-probabilities go with the first."""
        deltas = [delta for item in read.events if (delta := delta_of(item))]
        logprobs = self._logprobs(read.progress.choices)
        if not deltas and (logprobs or read.finish):
            deltas = [{}]
        chunks: list[JsonValue] = []
        for number, delta in enumerate(deltas, start=1):
            finish = read.finish if number == len(deltas) else None
            chunks.append(self._chunk(read.place, delta, logprobs, finish))
            logprobs = []
        return chunks

    def _chunk(
        self,
        index: int,
        delta: Mapping[str, JsonValue],
        logprobs: Sequence[JsonValue] = (),
        finish: str | None = None,
    ) -> JsonValue:
        choice: dict[str, JsonValue] = {
            "index": index,
            "delta": {**delta},
            "logprobs": {"content": [*logprobs]} if logprobs else None,
            "finish_reason": finish,
        }
        unknown: dict[str, JsonValue] = {"usage": None} if self.body.includes_usage else {}
        return {**self._envelope("chat.completion.chunk"), "choices": [choice], **unknown}

    def _choice(self, index: int, answer: Answer) -> JsonValue:
        message: dict[str, JsonValue] = {
            "role": "assistant",
            "content": answer.content or (None if answer.calls or answer.reasoning else ""),
        }
        if answer.reasoning:
            message["reasoning_content"] = answer.reasoning
        if answer.calls:
            message["tool_calls"] = [*answer.calls]
        return {
            "index": index,
            "message": message,
            "logprobs": {"content": answer.logprobs} if self.body.logprobs else None,
            "finish_reason": answer.finish,
        }

    def _logprobs(self, choices: Sequence[Choice]) -> list[JsonValue]:
        if not self.body.logprobs:
            return []
        return chat_logprobs(self.served.checkpoint.tokenizer, choices)

    def _usage(self) -> JsonValue:
        return usage_body(
            (answer.usage for answer in self.answers),
            answers=self.body.n,
            reasoning=sum(answer.reasoning_tokens for answer in self.answers),
        )

    def _envelope(self, kind: str) -> dict[str, JsonValue]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.served.checkpoint.name,
        }


async def prepare_chat(
    body: ChatRequest, served: Served, caller: Caller, constraints: Constraints
) -> Chat:
    """Render, encode and compile; nothing has been computed yet.

    Raises:
        RequestError: The request cannot be served.
    """
    template = served.checkpoint.template
    if template is None:
        raise BadRequest(
            f"{served.checkpoint.name!r} has no chat template; use /v1/completions",
            param="messages",
        )
    tools, messages = _tools(body), [_message(message) for message in body.messages]
    calls = format_of(template.source)
    if calls is None and (tools or any(_calls(message) for message in messages)):
        messages, tools, calls = in_words(messages, tools), [], HERMES
    text = template.render(
        messages,
        tools=tools,
        options=_template_options(body),
        continues=body.messages[-1].role == "assistant" and body.messages[-1].prefix,
    )
    dialect = Dialect(served.checkpoint.tokenizer, calls, thinking=opens_thinking(text))
    rules = dialect.rules_for(body)
    prompt = served.checkpoint.tokenizer.encode(text)
    name = f"chatcmpl-{secrets.token_hex(12)}"
    requests = requests_of(
        name,
        [prompt],
        sampling_of(body, served, logprobs=(body.top_logprobs or 0) if body.logprobs else None),
        [limits_of(body, served, len(prompt), _most_tokens(body), caller=caller)],
        answers=body.n,
        caller=caller,
        grammar=None if rules is None else await constraints.of(rules),
    )
    answers = [
        Answer(
            AnswerParser(calls, thinking=dialect.thinking),
            most_calls=None if body.parallel_tool_calls else 1,
        )
        for _ in range(body.n)
    ]
    return Chat(name, int(time()), body, served, requests, answers)


def _most_tokens(body: ChatRequest) -> int | None:
    return body.max_completion_tokens or body.max_tokens


def _message(message: Message) -> dict[str, JsonValue]:
    return message.model_dump(exclude_none=True, exclude={"prefix"})


def _calls(message: Mapping[str, JsonValue]) -> bool:
    """Whether a message tells of tools."""
    return message["role"] == "tool" or "tool_calls" in message


def _tools(body: ChatRequest) -> list[JsonValue]:
    """For the template; none at all if none may be called."""
    if body.tool_choice == "none":
        return []
    return [tool.model_dump(exclude_none=True) for tool in body.tools]


def _template_options(body: ChatRequest) -> dict[str, JsonValue]:
    """The client's variables, and its switch for reasoning under the names templates know."""
    options: dict[str, JsonValue] = {}
    if body.thinking is not None or body.reasoning_effort is not None:
        on = body.thinking.type == "enabled" if body.thinking else body.reasoning_effort != "none"
        options |= dict.fromkeys(SWITCHES, on)
    return options | body.chat_template_kwargs


def _call_number(item: Event) -> int:
    """Which call a piece belongs to, from 0; what belongs to none comes before all."""
    return item.index if isinstance(item, CallBegins | CallArguments | CallEnds) else -1


def call_body(item: CallBegins) -> dict[str, JsonValue]:
    """A call as OpenAI writes it, its arguments still empty."""
    return {
        "id": item.id or f"call_{secrets.token_hex(12)}",
        "type": "function",
        "function": {"name": item.name, "arguments": ""},
    }


def delta_of(item: Event) -> dict[str, JsonValue]:
    """What a piece adds to the message; the end of a call adds nothing."""
    match item:
        case Reasoning():
            return {"reasoning_content": item.text}
        case Content():
            return {"content": item.text}
        case CallBegins():
            return {"tool_calls": [{"index": item.index, **call_body(item)}]}
        case CallArguments():
            part: JsonValue = {"index": item.index, "function": {"arguments": item.text}}
            return {"tool_calls": [part]}
        case CallEnds():
            return {}

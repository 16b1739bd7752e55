"""`agent`: a model that chooses tools from an allow-list."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema
from typing_extensions import override

from treadle.agents.errors import StepFailed
from treadle.agents.nodes.base import CallBase, Listed, Part
from treadle.agents.nodes.fields import AnyValue
from treadle.agents.nodes.questions import ModelConfig, Question, repair
from treadle.agents.ports import StepRecord, Usage
from treadle.agents.steps.agent_calls import Calls
from treadle.agents.steps.answers import AnswerInvalid, AnswerSchema
from treadle.agents.steps.graph import EffectWork
from treadle.agents.steps.hosts import fixed_hosts
from treadle.agents.steps.identities import identity_of_offers, identity_of_request
from treadle.agents.steps.models import Said, call_model
from treadle.agents.steps.offers import Offer, named_apart, offered
from treadle.agents.steps.turn import Turn
from treadle.agents.values import JsonValue
from treadle.integrations.errors import ErrorClass
from treadle.integrations.models import ChatRequest, Message
from treadle.integrations.registry import AnyTool

REPAIRS = 2


class AgentTool(Part):
    """A tool the model may call.

    Attributes:
        fixed: Arguments the template gives (`with`); the model neither sees nor changes them.
        model_may_choose: Arguments that decide where data goes and that the model may fill all
            the same.
        approve: Whether a person is asked before each call.
    """

    use: str
    connection: str | None = None
    fixed: dict[str, AnyValue] = Field(default_factory=dict[str, AnyValue], alias="with")
    model_may_choose: Listed[str] = ()
    approve: bool = False


class ByNameToo:
    """Annotation of an `AgentTool`: a tool's name alone stands for `{use: name}`."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Take a name as an entry with nothing else."""
        return core_schema.no_info_before_validator_function(
            lambda raw: {"use": raw} if isinstance(raw, str) else raw, handler(source)
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:  # Any: pydantic's own type for a JSON Schema
        """A name, or the whole entry."""
        return {"anyOf": [{"type": "string"}, handler(schema)]}


class AgentBudget(Part):
    """Caps of one agent step."""

    tokens: int | None = Field(default=None, ge=1)
    cost_usd: float | None = Field(default=None, gt=0)


class AgentConfig(ModelConfig):
    """llm's keys, and tools with their caps. A step is one answer of the model with its calls.

    Attributes:
        tools: What it may call: names, or entries with fixed arguments.
        max_steps: Answers with calls at most; then it fails with class `budget`.
        budget: Tokens and cost of all its model calls.
    """

    tools: Listed[Annotated[AgentTool, ByNameToo()]] = ()
    max_steps: int = Field(default=10, ge=1, le=100)
    budget: AgentBudget = AgentBudget()


class AgentNode(CallBase):
    """Output: `{text, steps}`; with `schema` the value."""

    kind: ClassVar[str] = "agent"
    use: Literal["agent"]
    config: AgentConfig = Field(alias="with")


@dataclass(frozen=True, slots=True)
class AgentWork(EffectWork):
    """Asks a model, makes the calls it asks for, and asks again, until it answers or a cap is hit.

    Attributes:
        offers: The allow-list, by the names the model uses.
    """

    config: AgentConfig
    question: Question
    offers: Mapping[str, Offer]

    @override
    async def identity(self, turn: Turn) -> JsonValue:
        """What is asked, of whom, and what it may call."""
        return {
            "asked": identity_of_request(await self.question.request(turn)),
            "tools": identity_of_offers(turn, self.offers),
            "max_steps": self.config.max_steps,
            "budget": self.config.budget.model_dump(),
        }

    @override
    async def attempt(self, turn: Turn) -> JsonValue:
        """The conversation, from its start.

        What the ledger has of it is neither paid nor done again: another attempt goes on where the
        last one broke.
        """
        request = await self.question.request(turn)
        tools = [offer.spec for offer in self.offers.values()]
        first = replace(request, schema=None, tools=tools, messages=self._opening(request))
        return await _Talk(self, turn, first, Calls(turn, self.offers)).result()

    def _opening(self, request: ChatRequest) -> list[Message]:
        """With tools an endpoint is not held to a schema, so the model is told of it."""
        messages = list(request.messages)
        if request.schema is None:
            return messages
        told = (
            "When you are done, answer with one JSON value and nothing else. It must be valid for"
            f" this schema:\n{json.dumps(request.schema, ensure_ascii=False)}"
        )
        if messages and messages[0].role == "system":
            return [replace(messages[0], content=f"{messages[0].content}\n\n{told}"), *messages[1:]]
        return [Message("system", told), *messages]


@dataclass(slots=True)
class _Talk:
    """One conversation."""

    work: AgentWork
    turn: Turn
    request: ChatRequest
    calls: Calls
    asked: int = 0
    problems: list[str] = field(default_factory=list[str])

    async def result(self) -> JsonValue:
        """The agent's output; raises `StepFailed`."""
        for _ in range(self.work.config.max_steps):
            said = await self._ask()
            if not said.tool_calls:
                return await self._output(said)
            self._add(Message("assistant", said.text, tool_calls=said.tool_calls))
            self._add(*await self.calls.answer(said.tool_calls))
        raise self._over_cap(
            f"it wanted to go on after {self.work.config.max_steps} steps", "steps"
        )

    async def _ask(self) -> Said:
        number, self.asked = self.asked, self.asked + 1
        return await call_model(self.turn, self._within_budget(), number=number)

    async def _output(self, said: Said) -> JsonValue:
        schema = self.work.question.schema
        if schema is None:
            return {"text": said.text, "steps": [_as_step(entry) for entry in self.calls.made]}
        for _ in range(REPAIRS):
            try:
                return schema.read(said.text, is_cut=said.is_cut)
            except AnswerInvalid as error:
                said = await self._repaired(schema, said, str(error))
        try:
            return schema.read(said.text, is_cut=said.is_cut)
        except AnswerInvalid as error:
            raise StepFailed(
                f"{self.turn.node.template_path}: after {REPAIRS} repairs {error}",
                error_class=ErrorClass.INVALID_OUTPUT,
                code="invalid_output",
                may_repeat=False,  # a new conversation would do again what its tools did
            ) from error

    async def _repaired(self, schema: AnswerSchema, said: Said, problem: str) -> Said:
        """Ask for the value alone: without tools an endpoint can be held to the schema."""
        self._add(*repair(said.text, problem))
        self.request = replace(self.request, tools=(), schema=schema.schema)
        return await self._ask()

    def _add(self, *messages: Message) -> None:
        self.request = replace(self.request, messages=[*self.request.messages, *messages])

    def _within_budget(self) -> ChatRequest:
        """The request, its answer no longer than the budget has left."""
        budget, used = self.work.config.budget, self.turn.usage or Usage()
        if budget.cost_usd is not None and (used.cost_usd or 0.0) >= budget.cost_usd:
            raise self._over_cap(f"it has used its budget of {budget.cost_usd:g} USD", "cost")
        if budget.tokens is None:
            return self.request
        left = budget.tokens - used.input_tokens - used.output_tokens
        if left <= 0:
            raise self._over_cap(f"it has used its budget of {budget.tokens} tokens", "tokens")
        longest = min(left, self.request.max_tokens or left)
        return replace(self.request, max_tokens=longest)

    def _over_cap(self, what: str, cap: str) -> StepFailed:
        return StepFailed(
            f"{self.turn.node.template_path}: {what}",
            error_class=ErrorClass.BUDGET,
            code=f"agent_{cap}",
            may_repeat=False,
        )


def agent_work(config: AgentConfig, question: Question, tools: Mapping[str, AnyTool]) -> AgentWork:
    """The work of an agent whose tools are known."""
    offers = [_offer(entry, index, tools[entry.use]) for index, entry in enumerate(config.tools)]
    return AgentWork(config, question, named_apart(offers))


def _offer(entry: AgentTool, index: int, tool: AnyTool) -> Offer:
    offer = offered(
        tool,
        fixed=entry.fixed,
        may_choose=entry.model_may_choose,
        connection=entry.connection,
        needs_approval=entry.approve,
        field=f"with.tools[{index}]",
    )
    written = {name: value.raw for name, value in entry.fixed.items()}
    return replace(offer, hosts=fixed_hosts(tool, written))


def _as_step(entry: StepRecord) -> JsonValue:
    """One call as the output shows it."""
    return {
        "tool": entry.extra.get("tool"),
        "arguments": entry.extra.get("arguments"),
        "result": entry.output,
        "error": None if entry.error is None else entry.error.message,
        "started_at": _shown(entry.started_at),
        "finished_at": _shown(entry.finished_at),
    }


def _shown(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()

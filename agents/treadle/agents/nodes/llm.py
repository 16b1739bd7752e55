"""`llm`: one call of a model."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from treadle.agents.errors import StepFailed
from treadle.agents.nodes.base import CallBase
from treadle.agents.nodes.questions import ModelConfig, Question, repair
from treadle.agents.steps.answers import AnswerInvalid
from treadle.agents.steps.graph import EffectWork
from treadle.agents.steps.identities import identity_of_request
from treadle.agents.steps.models import call_model
from treadle.agents.steps.turn import Turn
from treadle.agents.values import JsonValue
from treadle.integrations.errors import ErrorClass

REPAIRS = 2


class LlmConfig(ModelConfig):
    """What the model is asked. `prompt` or `messages`, not both."""


class LlmNode(CallBase):
    """Output: text; with `schema` the parsed value."""

    kind: ClassVar[str] = "llm"
    use: Literal["llm"]
    config: LlmConfig = Field(alias="with")


@dataclass(frozen=True, slots=True)
class LlmWork(EffectWork):
    """Asks a model; with a schema it asks at most twice more for an answer that fits."""

    question: Question

    @override
    async def identity(self, turn: Turn) -> JsonValue:
        """What is asked, and of whom."""
        return identity_of_request(await self.question.request(turn))

    @override
    async def attempt(self, turn: Turn) -> JsonValue:
        """One conversation: the question, and the repairs of its answer."""
        request = await self.question.request(turn)
        schema = self.question.schema
        if schema is None:
            return (await call_model(turn, request, number=turn.first_call)).text
        problem = ""
        for number in range(turn.first_call, turn.first_call + REPAIRS + 1):
            said = await call_model(turn, request, number=number)
            try:
                return schema.read(said.text, is_cut=said.is_cut)
            except AnswerInvalid as error:
                problem = str(error)
            request = replace(request, messages=[*request.messages, *repair(said.text, problem)])
        turn.first_call += REPAIRS + 1  # another attempt starts a new conversation
        raise StepFailed(
            f"{turn.node.template_path}: after {REPAIRS} repairs {problem}",
            error_class=ErrorClass.INVALID_OUTPUT,
            code="invalid_output",
        )

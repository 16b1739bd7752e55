"""`approval`: a person decides."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from treadle.agents.errors import StepFailed
from treadle.agents.nodes.base import Listed, NodeBase, Part
from treadle.agents.nodes.durations import Duration
from treadle.agents.nodes.fields import AnyValue, TextValue
from treadle.agents.nodes.inputs import Inputs
from treadle.agents.ports import Answer, Wait, WaitKind
from treadle.agents.steps.graph import WaitWork
from treadle.agents.steps.notices import Notice, send_notice
from treadle.agents.steps.turn import Turn
from treadle.agents.steps.waits import Ask, answered, is_open, listen, open_wait
from treadle.agents.values import JsonObject, JsonValue
from treadle.integrations.errors import ErrorClass

FAIL = "fail"


class ApprovalConfig(Part):
    """What is shown and what can be answered; `on_timeout` is an action or `fail`.

    Attributes:
        assignees: E-mail addresses of those who should decide; any key of the workspace may.
        notify: E-mail addresses that get the link; the assignees if it is absent.
    """

    title: TextValue | None = None
    show: AnyValue | None = None
    actions: Listed[str] = Field(default=("approve", "reject"), min_length=1, max_length=20)
    form: Inputs = Field(default_factory=dict)
    assignees: AnyValue | None = None
    notify: AnyValue | None = None
    timeout: Duration | None = None
    on_timeout: str | None = None


class ApprovalNode(NodeBase):
    """Output: `{action, form, by, at}`."""

    kind: ClassVar[str] = "approval"
    use: Literal["approval"]
    config: ApprovalConfig = Field(default_factory=ApprovalConfig, alias="with")


@dataclass(frozen=True, slots=True)
class ApprovalWork(WaitWork):
    """Shows what is to be decided, tells people of it, and waits."""

    config: ApprovalConfig

    @override
    async def wait(self, turn: Turn) -> JsonValue:
        answer = answered(turn)
        if answer is None:
            wait = is_open(turn) or open_wait(turn, self._ask(turn))
            await self._tell(turn, wait)
            answer = await listen(turn, wait)
        return self._output(turn, answer)

    def _ask(self, turn: Turn) -> Ask:
        config = self.config
        asked: JsonObject = {
            "title": self._title(turn),
            "show": None if config.show is None else turn.evaluate(config.show, "with.show"),
            "actions": list(config.actions),
            "form": {
                name: {**one.schema, "optional": True} if one.optional else dict(one.schema)
                for name, one in config.form.items()
            },
            "assignees": list(_addresses(turn, config.assignees, "with.assignees")),
        }
        if config.timeout is not None:
            asked["on_timeout"] = config.on_timeout or FAIL
        until = None if config.timeout is None else turn.ports.clock.now() + config.timeout
        return Ask(WaitKind.APPROVAL, until, asked)

    def _title(self, turn: Turn) -> str:
        title = self.config.title and turn.evaluate(self.config.title, "with.title")
        return title if isinstance(title, str) and title else turn.node.id

    async def _tell(self, turn: Turn, wait: Wait) -> None:
        config = self.config
        chosen, field = (
            (config.assignees, "assignees") if config.notify is None else (config.notify, "notify")
        )
        to = _addresses(turn, chosen, f"with.{field}")
        if to:
            await send_notice(turn, Notice(to, self._title(turn), turn.ports.waits.page(wait)))

    def _output(self, turn: Turn, answer: Answer) -> JsonValue:
        if answer.in_time and isinstance(answer.value, dict):
            given = answer.value
            return {
                "action": given["action"],
                "form": given["form"],
                "by": answer.by,
                "at": answer.at.isoformat(),
            }
        action = self.config.on_timeout or FAIL
        if action == FAIL:
            raise StepFailed(
                f"nobody answered the approval {turn.path!r} in time",
                error_class=ErrorClass.TIMEOUT,
                code="approval_timeout",
                may_repeat=False,
            )
        form: JsonObject = {name: one.default for name, one in self.config.form.items()}
        return {"action": action, "form": form, "by": None, "at": answer.at.isoformat()}


def _addresses(turn: Turn, value: AnyValue | None, field: str) -> tuple[str, ...]:
    """One address or a list of them; raises `StepFailed` for anything else."""
    found = None if value is None else turn.evaluate(value, field)
    many = found if isinstance(found, list) else [found] if found else []
    addresses = tuple(one for one in many if isinstance(one, str) and "@" in one)
    if len(addresses) < len(many):
        raise StepFailed(
            f"{turn.node.template_path}.{field}: expected an e-mail address or a list of them",
            error_class=ErrorClass.INVALID_INPUT,
            code="invalid_arguments",
        )
    return addresses

"""`approval`: a person decides."""

from typing import ClassVar, Literal

from pydantic import Field

from treadle.agents.nodes.base import Listed, NodeBase, Part
from treadle.agents.nodes.durations import Duration
from treadle.agents.nodes.fields import AnyValue, TextValue
from treadle.agents.nodes.inputs import Inputs


class ApprovalConfig(Part):
    """What is shown and what can be answered; `on_timeout` is an action or `fail`."""

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

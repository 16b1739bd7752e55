"""What keys of a node hold: durations, shares, values that may be expressions."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from treadle.agents.nodes.approval import ApprovalConfig
from treadle.agents.nodes.base import Retry
from treadle.agents.nodes.child import ChildNode
from treadle.agents.nodes.durations import parse_duration
from treadle.agents.nodes.llm import LlmConfig
from treadle.agents.nodes.map import MapNode


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500ms", timedelta(milliseconds=500)), ("30s", timedelta(seconds=30)),
        ("10m", timedelta(minutes=10)), ("3h", timedelta(hours=3)), ("7d", timedelta(days=7)),
        ("0s", timedelta()),
    ],
)  # fmt: skip
def test_durations(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text", ["", "5", "5 m", "-5m", "1.5h", "5M", chr(0x665) + "m", "9" * 15 + "d", "3651d"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


def test_a_retry_says_nothing_by_default_but_one_attempt() -> None:
    retry = Retry.model_validate({})
    assert (retry.attempts, retry.backoff, retry.initial, retry.max) == (
        1, "exponential", timedelta(seconds=1), timedelta(seconds=60),
    )  # fmt: skip
    assert [str(error_class) for error_class in retry.on] == ["timeout", "rate_limit", "upstream"]


@pytest.mark.parametrize("temperature", [0, 0.5, 2, "${{ inputs.t }}"])
def test_a_value_takes_a_fitting_constant_or_an_expression(temperature: object) -> None:
    config = LlmConfig.model_validate({"prompt": "x", "temperature": temperature})
    assert config.temperature is not None
    assert config.temperature.evaluate({"inputs": {"t": 1}}) in {0, 0.5, 1, 2}


@pytest.mark.parametrize("temperature", [3, "hot", "about ${{ inputs.t }}", True, [1]])
def test_a_constant_that_does_not_fit_is_refused(temperature: object) -> None:
    with pytest.raises(ValidationError):
        LlmConfig.model_validate({"prompt": "x", "temperature": temperature})


def test_a_map_takes_eight_at_once_and_fails_with_its_first_item() -> None:
    raw: dict[str, Any] = {"use": "map", "over": [1], "output": 1}  # Any: as a template has it
    node = MapNode.model_validate(raw)
    assert (node.item_name, node.concurrency, node.on_item_error) == ("item", 8, "fail")
    assert MapNode.model_validate({**raw, "tolerate": "15%"}).tolerate == pytest.approx(0.15)


def test_a_form_declares_inputs() -> None:
    form = ApprovalConfig.model_validate(
        {"form": {"note": {"type": "string", "optional": True}, "n": {"default": 3}}}
    ).form
    assert (form["note"].is_required, form["note"].schema) == (False, {"type": "string"})
    assert (form["n"].is_required, form["n"].default) == (False, 3)


def test_a_child_names_its_template_and_range() -> None:
    node = ChildNode.model_validate({"use": "template:outline@^1.2"})
    assert (node.template, node.version_range) == ("outline", "^1.2")
    assert ChildNode.model_validate({"use": "template:outline"}).version_range is None

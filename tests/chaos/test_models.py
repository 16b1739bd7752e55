"""A model endpoint that fails in every way it can: a typed outcome, and never half an answer."""

import itertools

import pytest
from tests.chaos.spending import Answer
from tests.chaos.world import World
from tests.doubles.model_server import Fault, Refuses, says

ATTEMPTS = 3
TEMPLATE = f"""\
treadle: 1
name: chaos-model
version: 1.0.0
inputs: {{tag: {{type: string}}}}
nodes:
  say:
    use: llm
    timeout: 3s
    retry: {{attempts: {ATTEMPTS}, initial: 100ms, max: 200ms}}
    with: {{prompt: "Say something. tag:${{{{ inputs.tag }}}}"}}
outputs: {{said: "${{{{ say }}}}"}}
"""
FAULTS: dict[str, Answer] = {
    "429": Refuses(429, retry_after="1"),
    "500": Refuses(500),
    "503": Refuses(503),
    **{fault.name.lower(): fault for fault in Fault},
    "no end": says("Half an", has_end=False, finish_reason=""),
}
IN_SAMPLE = {"429", "half_closed", "bad_json"}
CLASSES = {"timeout", "rate_limit", "upstream", "invalid_output"}
_tags = itertools.count(1)


def run(around: World, *answers: Answer) -> tuple[dict[str, object], int]:
    """Let the next answers be these; the run at its end, and the calls that were made."""
    tag = f"model-{next(_tags)}"
    around.models.next_answers = list(answers)
    id_ = around.rest.start(TEMPLATE, {"tag": tag}, key=tag)
    shown = around.rest.ended(id_)
    around.models.next_answers = []
    return shown, around.models.calls(tag)


@pytest.mark.parametrize("name", FAULTS)
def test_a_failed_call_is_made_again_and_no_more_than_that(
    around: World, name: str, *, is_full: bool
) -> None:
    if not is_full and name not in IN_SAMPLE:
        pytest.skip("make chaos runs it")
    shown, calls = run(around, FAULTS[name])
    assert shown["status"] == "succeeded", shown
    assert "Seen model-" in str(shown["outputs"])
    assert calls == 2


@pytest.mark.chaos
@pytest.mark.parametrize("name", FAULTS)
def test_an_endpoint_that_never_answers_well_fails_the_step_by_name(
    around: World, name: str
) -> None:
    shown, calls = run(around, *([FAULTS[name]] * ATTEMPTS))
    assert shown["status"] == "failed", shown
    error = shown["error"]
    assert isinstance(error, dict)
    assert error["class"] in CLASSES, error
    assert error["path"] == "say"
    assert "Half an" not in str(shown["outputs"])
    assert calls == ATTEMPTS

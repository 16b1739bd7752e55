"""The page on which people decide, as HTML."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from treadle.agents.errors import Issue
from treadle.agents.values import JsonObject, JsonValue
from treadle.platform.approvals.page import approval_page
from treadle.platform.approvals.repository import WaitRecord
from treadle.platform.approvals.showing import show_value
from treadle.platform.engine.ids import RunId
from treadle.platform.engine.leases import RunStatus

FORM: JsonObject = {
    "note": {"type": "string", "optional": True, "description": "What should change"},
    "tone": {"type": "string", "enum": ["calm", "bold"], "default": "calm"},
    "words": {"type": "integer", "minimum": 100},
    "publish": {"type": "boolean", "default": True},
}


def record(**asked: JsonValue) -> WaitRecord:
    return WaitRecord(
        id=uuid4(),
        run=RunId(uuid4()),
        kind="approval",
        node="review",
        path="review",
        item=None,
        until=datetime(2026, 12, 3, 16, 34, tzinfo=UTC),
        asked={"title": "Approve", "actions": ["approve", "reject"], "form": FORM, **asked},
        created_at=datetime(2026, 12, 1, tzinfo=UTC),
        is_open=True,
        run_status=RunStatus.WAITING,
        template="plan",
        sha256=b"",
    )


def test_nothing_shown_or_asked_becomes_markup() -> None:
    evil = "<script>alert(1)</script>"
    form: JsonObject = {"x": {"type": "string", "title": evil, "default": f'"{evil}'}}
    html = approval_page(
        record(title=evil, show={evil: [{evil: evil}], "b": evil * 9}, form=form, actions=[evil])
    )
    assert "<script" not in html
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize(
    ("value", "html"),
    [
        (True, "Yes"),
        (None, '<span class="none">nothing</span>'),
        ({"sent_to": ["a@b.c"]}, "<dl><dt>Sent to</dt><dd><ul><li>a@b.c</li></ul></dd></dl>"),
        ("one\ntwo", '<div class="long" tabindex="0">one\ntwo</div>'),
    ],
)
def test_values_are_written_for_people(value: JsonValue, html: str) -> None:
    assert show_value(value) == html


def test_objects_that_are_alike_are_a_table() -> None:
    html = show_value([{"word": "crm", "volume": 90}, {"word": "erp"}])
    assert '<th scope="col">Word</th><th scope="col">Volume</th>' in html
    assert "<tr><td>crm</td><td>90</td></tr><tr><td>erp</td><td></td></tr>" in html


def test_deep_values_stay_json() -> None:
    assert "<pre>" in show_value({"a": {"b": {"c": {"d": 1}}}})


def test_every_control_has_a_label_and_what_it_needs() -> None:
    html = approval_page(record())
    for name in FORM:
        assert f'for="f-{name}"' in html
        assert f'id="f-{name}"' in html
    assert 'aria-describedby="f-note-hint"' in html
    assert 'min="100" id="f-words" name="form.words" required' in html
    assert '<input type="checkbox" value="true" checked' in html


def test_enter_in_a_field_presses_no_button_that_decides() -> None:
    html = approval_page(record())
    assert html.index("<button disabled hidden>") < html.index('value="approve"')


def test_what_was_wrong_is_said_at_the_field_and_what_was_sent_stays() -> None:
    issue = Issue("error", "form.words", None, None, "must be at least 100")
    html = approval_page(record(), texts={"form.words": "7"}, issues=[issue])
    assert 'role="alert">Please look again at: <a href="#f-words">Words</a>.' in html
    assert 'aria-invalid="true" aria-describedby="f-words-wrong"' in html
    assert 'value="7"' in html
    assert '<input type="checkbox" value="true" id="f-publish"' in html


def test_it_says_what_happens_if_nobody_answers() -> None:
    assert "after that “Reject” is taken" in approval_page(record(on_timeout="reject"))
    assert "after that the run fails" in approval_page(record(on_timeout="fail"))

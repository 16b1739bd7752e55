"""The page of an approval as HTML: no script, nothing from elsewhere, readable without style."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from treadle.agents.errors import Issue
from treadle.agents.nodes.inputs import Input
from treadle.agents.values import JsonObject, JsonValue
from treadle.platform.approvals.repository import WaitRecord
from treadle.platform.approvals.service import actions_of, declared_form
from treadle.platform.approvals.showing import label_of, show_value, text_of
from treadle.platform.approvals.style import STYLE

_HEAD = (
    '<header><svg width="20" height="20" viewBox="0 0 20 20" aria-hidden="true">'
    '<path d="M3 4h14M10 4v9M4 16l12-3"/></svg>Treadle</header>'
)
_PAUSED = (
    '<svg width="10" height="12" viewBox="0 0 10 12" aria-hidden="true">'
    '<path d="M2 2v8M8 2v8"/></svg>'
)
_CHECK = (
    '<svg class="mark good" width="44" height="44" viewBox="0 0 44 44" aria-hidden="true">'
    '<circle cx="22" cy="22" r="19"/><path d="m14 22 6 6 11-12"/></svg>'
)
_CLOSED = (
    '<svg class="mark" width="44" height="44" viewBox="0 0 44 44" aria-hidden="true">'
    '<circle cx="22" cy="22" r="19"/><path d="M14 22h16"/></svg>'
)


def approval_page(
    approval: WaitRecord,
    *,
    texts: Mapping[str, str] | None = None,
    issues: Sequence[Issue] = (),
) -> str:
    """What is to be decided, and the form.

    Args:
        approval: What is asked.
        texts: What was sent before, by the fields' names.
        issues: What was wrong with it.
    """
    title = str(approval.asked.get("title", approval.node))
    wrong = {issue.path: issue.message for issue in issues}
    fields = [
        _Field(
            name,
            one,
            sent=None if texts is None else texts.get(f"form.{name}", ""),
            problem=_problem(wrong, name),
        )
        for name, one in declared_form(approval).items()
    ]
    form = f"{_alert(wrong, fields)}{''.join(field.html() for field in fields)}{_buttons(approval)}"
    body = f"""<div class="card"><div class="part">
<p class="state">{_PAUSED}Waiting for your decision</p><h1>{escape(title)}</h1>
<p class="from">Asked by <b>{escape(approval.template)}</b>, step {escape(approval.path)}</p></div>
{_shown(approval.asked.get("show"))}<form class="part" method="post">{form}</form></div>
<footer>{_ends(approval)}<p>The first answer counts. This link works once.</p></footer>"""
    return _page(title, body)


def notice_page(title: str, text: str, *, is_good: bool = False) -> str:
    """A page that only says something."""
    mark = _CHECK if is_good else _CLOSED
    body = f'<div class="card said">{mark}<h1>{escape(title)}</h1><p>{escape(text)}</p></div>'
    return _page(title, body)


def _page(title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>{escape(title)} · Treadle</title>
<style>{STYLE}</style></head><body><main>{_HEAD}{body}</main></body></html>
"""


def _shown(show: JsonValue) -> str:
    if show is None:
        return ""
    return (
        '<section class="part"><h2>What will happen</h2>'
        f'<div class="show">{show_value(show)}</div></section>'
    )


def _buttons(approval: WaitRecord) -> str:
    # The first button is what Enter in a field would press: nobody approves by that.
    buttons = ["<button disabled hidden></button>"]
    for index, action in enumerate(actions_of(approval)):
        mark = "" if index else ' class="first"'
        value, label = escape(action), escape(label_of(action))
        buttons.append(f'<button name="action" value="{value}"{mark}>{label}</button>')
    return f'<div class="actions">{"".join(buttons)}</div>'


def _ends(approval: WaitRecord) -> str:
    until = approval.until
    if until is None:
        return ""
    at = f'<time datetime="{until.isoformat()}">{until:%A, %-d %B %Y, %H:%M} UTC</time>'
    otherwise = approval.asked.get("on_timeout")
    if not isinstance(otherwise, str):
        return f"<p>Answer before {at}.</p>"
    then = "the run fails" if otherwise == "fail" else f"“{escape(label_of(otherwise))}” is taken"
    return f"<p>Answer before {at}; after that {then}.</p>"


def _alert(wrong: Mapping[str, str], fields: "Sequence[_Field]") -> str:
    if not wrong:
        return ""
    other = [escape(text) for path, text in wrong.items() if not path.startswith("form.")]
    links = [
        f'<a href="#{field.id}">{escape(field.label)}</a>' for field in fields if field.problem
    ]
    look = [f"Please look again at: {', '.join(links)}"] if links else []
    text = ". ".join(other + look) or "Please look at the form again"
    return f'<p class="alert" role="alert">{text}.</p>'


def _problem(wrong: Mapping[str, str], name: str) -> str | None:
    at = f"form.{name}"
    found = [
        text for path, text in wrong.items() if path == at or path.startswith((at + ".", at + "["))
    ]
    return found[0] if found else None


@dataclass(frozen=True)
class _Field:
    """One field of the form.

    Attributes:
        sent: What was sent for it before.
        problem: What was wrong with that.
    """

    name: str
    one: Input
    sent: str | None
    problem: str | None

    @property
    def id(self) -> str:
        return f"f-{escape(self.name)}"

    @property
    def label(self) -> str:
        return str(self.one.schema.get("title") or label_of(self.name))

    @property
    def value(self) -> str:
        if self.sent is not None:
            return self.sent
        return "" if self.one.default is None else text_of(self.one.default)

    def html(self) -> str:
        """Label, hint, control, and what is wrong."""
        wrong = ""
        if self.problem is not None:
            wrong = f'<p class="wrong" id="{self.id}-wrong">{escape(self.problem)}</p>'
        if self._is_checkbox:
            checked = " checked" if self.value in {"true", "on"} else ""
            box = f'<input type="checkbox" value="true"{checked} {self._marks()}>'
            label = f'<label class="check" for="{self.id}">{box}{escape(self.label)}</label>'
            return f'<div class="field">{label}{self._hint()}{wrong}</div>'
        optional = ' <span class="optional">optional</span>' if self.one.optional else ""
        label = f'<label for="{self.id}">{escape(self.label)}{optional}</label>'
        return f'<div class="field">{label}{self._hint()}{self._control()}{wrong}</div>'

    @property
    def _is_checkbox(self) -> bool:
        schema = self.one.schema
        return schema.get("type") == "boolean" and "enum" not in schema and not self.one.optional

    def _hint(self) -> str:
        text = self.one.schema.get("description")
        return f'<p class="hint" id="{self.id}-hint">{escape(str(text))}</p>' if text else ""

    def _marks(self) -> str:
        """What every control has."""
        marks = f'id="{self.id}" name="form.{escape(self.name)}"'
        notes = [f"{self.id}-hint"] if self.one.schema.get("description") else []
        if self.problem is not None:
            marks += ' aria-invalid="true"'
            notes.append(f"{self.id}-wrong")
        if notes:
            marks += f' aria-describedby="{" ".join(notes)}"'
        return marks

    def _control(self) -> str:
        schema, value = self.one.schema, self.value
        choices, kind = schema.get("enum"), schema.get("type")
        if isinstance(choices, list):
            return self._select([(text_of(one), label_of(text_of(one))) for one in choices])
        if kind == "boolean":
            return self._select([("true", "Yes"), ("false", "No")])
        marks = self._marks() + (" required" if self.one.is_required else "")
        if kind in {"integer", "number"}:
            step = "1" if kind == "integer" else "any"
            bounds = _bounds(schema, {"minimum": "min", "maximum": "max"})
            return f'<input type="number" step="{step}"{bounds} {marks} value="{escape(value)}">'
        if kind == "string" and schema.get("format") in {"date", "email"}:
            return f'<input type="{schema["format"]}" {marks} value="{escape(value)}">'
        bounds = _bounds(schema, {"minLength": "minlength", "maxLength": "maxlength"})
        return f"<textarea{bounds} {marks}>\n{escape(value)}</textarea>"

    def _select(self, choices: Sequence[tuple[str, str]]) -> str:
        empty = [] if self.value else [("", "Choose…" if self.one.is_required else "–")]
        if self.one.optional and self.value:
            empty = [("", "–")]
        options = (
            f'<option value="{escape(value)}"{" selected" if value == self.value else ""}>'
            f"{escape(label)}</option>"
            for value, label in [*empty, *choices]
        )
        required = " required" if self.one.is_required else ""
        return f"<select {self._marks()}{required}>{''.join(options)}</select>"


def _bounds(schema: JsonObject, names: Mapping[str, str]) -> str:
    found = {mark: schema.get(name) for name, mark in names.items()}
    return "".join(
        f' {mark}="{bound}"'
        for mark, bound in found.items()
        if isinstance(bound, int | float) and not isinstance(bound, bool)
    )

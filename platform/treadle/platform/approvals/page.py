"""The page of an approval as HTML: no script, nothing from elsewhere, readable without style."""

import base64
import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from html import escape

from treadle.agents.errors import Issue
from treadle.agents.nodes.inputs import Input
from treadle.agents.values import JsonObject, JsonValue
from treadle.platform.approvals.repository import WaitRecord
from treadle.platform.approvals.service import actions_of, declared_form

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2024;--soft:#5a6470;--line:#d9dee4;--ground:#f6f7f9;
--card:#fff;--accent:#2f5fd0;--on-accent:#fff;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e9ecf0;--soft:#a3adb8;--line:#333a42;
--ground:#14171a;--card:#1d2125;--accent:#8fb0ff;--on-accent:#10151f;--bad:#ff9a90}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);
font:1rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:44rem;margin:0 auto;padding:3rem 1.25rem}
.card{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:2rem}
p.from{margin:0 0 .35rem;color:var(--soft);font-size:.875rem}
h1{margin:0 0 1.25rem;font-size:1.6rem;line-height:1.25;overflow-wrap:anywhere}
h2{margin:1.75rem 0 .5rem;font-size:1rem}
.show{border:1px solid var(--line);border-radius:10px;padding:1rem;max-height:28rem;overflow:auto;
white-space:pre-wrap;overflow-wrap:anywhere;margin:0;background:var(--ground);
font:.875rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.show.text{font:inherit}
dl{margin:0}dt{font-weight:600;margin-top:.75rem}dt:first-child{margin-top:0}
dd{margin:.15rem 0 0;white-space:pre-wrap;overflow-wrap:anywhere}
label,legend{display:block;font-weight:600;margin:1.25rem 0 .35rem}
.hint{font-weight:400;color:var(--soft);font-size:.875rem}
input,select,textarea{width:100%;font:inherit;color:inherit;background:var(--card);
border:1px solid var(--line);border-radius:8px;padding:.6rem .75rem}
textarea{min-height:6rem;resize:vertical}
[aria-invalid=true]{border-color:var(--bad)}
.wrong{color:var(--bad);margin:.35rem 0 0}
.actions{display:flex;flex-wrap:wrap;gap:.75rem;margin-top:1.75rem}
button{font:inherit;font-weight:600;padding:.65rem 1.4rem;border-radius:8px;cursor:pointer;
border:1px solid var(--line);background:transparent;color:inherit}
button:first-child{background:var(--accent);border-color:var(--accent);color:var(--on-accent)}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
footer{color:var(--soft);font-size:.875rem;margin-top:1.25rem}
"""
_DIGEST = base64.b64encode(sha256(_STYLE.encode()).digest()).decode()
PAGE_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; form-action 'self';"
    " frame-ancestors 'none'; base-uri 'none'"
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
        _field(name, one, (texts or {}).get(f"form.{name}"), _problem(wrong, name))
        for name, one in declared_form(approval).items()
    ]
    buttons = [
        f'<button name="action" value="{escape(action)}">{escape(_label(action))}</button>'
        for action in actions_of(approval)
    ]
    until = approval.until
    ends = "" if until is None else f" Answer before {until:%d %B %Y, %H:%M} UTC."
    body = f"""<div class="card"><p class="from">{escape(approval.template)} asks</p>
<h1>{escape(title)}</h1>{_shown(approval.asked.get("show"))}
<form method="post">{_alert(wrong)}{"".join(fields)}
<div class="actions">{"".join(buttons)}</div></form></div>
<footer>The first answer counts.{ends}</footer>"""
    return _page(title, body)


def notice_page(title: str, text: str) -> str:
    """A page that only says something."""
    return _page(title, f'<div class="card"><h1>{escape(title)}</h1><p>{escape(text)}</p></div>')


def _page(title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>{escape(title)}</title>
<style>{_STYLE}</style></head><body><main>{body}</main></body></html>
"""


def _shown(show: JsonValue) -> str:
    if show is None:
        return ""
    heading = "<h2>What will happen</h2>"
    match show:
        case str():
            return f'{heading}<div class="show text" tabindex="0">{escape(show)}</div>'
        case dict() if show and all(_is_plain(value) for value in show.values()):
            rows = (
                f"<dt>{escape(_label(k))}</dt><dd>{escape(_text(v))}</dd>" for k, v in show.items()
            )
            return f'{heading}<dl class="show text" tabindex="0">{"".join(rows)}</dl>'
        case _:
            written = json.dumps(show, ensure_ascii=False, indent=2)
            return f'{heading}<pre class="show" tabindex="0">{escape(written)}</pre>'


def _is_plain(value: JsonValue) -> bool:
    return not isinstance(value, dict | list)


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _alert(wrong: Mapping[str, str]) -> str:
    if not wrong:
        return ""
    other = [text for path, text in wrong.items() if not path.startswith("form.")]
    text = "; ".join(other) or "Please look at the fields below again."
    return f'<p class="wrong" role="alert">{escape(text)}</p>'


def _problem(wrong: Mapping[str, str], name: str) -> str | None:
    at = f"form.{name}"
    found = [
        text for path, text in wrong.items() if path == at or path.startswith((at + ".", at + "["))
    ]
    return found[0] if found else None


def _field(name: str, one: Input, sent: str | None, problem: str | None) -> str:
    schema = one.schema
    label = escape(str(schema.get("title") or _label(name)))
    hints = [str(schema["description"])] if schema.get("description") else []
    hints += [] if one.is_required else ["optional"]
    hint = f' <span class="hint">({escape(", ".join(hints))})</span>' if hints else ""
    id_ = f"f-{escape(name)}"
    default = "" if one.default is None else _text(one.default)
    marks = f'id="{id_}" name="form.{escape(name)}"'
    if problem is not None:
        marks += f' aria-invalid="true" aria-describedby="{id_}-wrong"'
    control = _control(schema, marks, default if sent is None else sent, one)
    note = "" if problem is None else f'<p class="wrong" id="{id_}-wrong">{escape(problem)}</p>'
    return f'<label for="{id_}">{label}{hint}</label>{control}{note}'


def _control(schema: JsonObject, marks: str, value: str, one: Input) -> str:
    choices, kind = schema.get("enum"), schema.get("type")
    if isinstance(choices, list):
        return _select(marks, [_text(choice) for choice in choices], value, one)
    if kind == "boolean":
        return _select(marks, ["false", "true"], value or "false", one)
    if kind in {"integer", "number"}:
        step = "1" if kind == "integer" else "any"
        return f'<input type="number" step="{step}" {marks} value="{escape(value)}">'
    if kind == "string" and schema.get("format") in {"date", "email"}:
        return f'<input type="{schema["format"]}" {marks} value="{escape(value)}">'
    return f"<textarea {marks}>\n{escape(value)}</textarea>"


def _select(marks: str, choices: Sequence[str], value: str, one: Input) -> str:
    empty = [""] if one.optional else []
    options = (
        f'<option value="{escape(choice)}"{" selected" if choice == value else ""}>'
        f"{escape(_label(choice)) or '–'}</option>"
        for choice in [*empty, *choices]
    )
    return f"<select {marks}>{''.join(options)}</select>"


def _label(name: str) -> str:
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]

"""A run's inputs against what a template declares; also the answers of an approval's form."""

from collections.abc import Mapping

from treadle.agents.errors import InputsInvalid, Issue
from treadle.agents.language.document import dotted
from treadle.agents.language.findings import did_you_mean_or
from treadle.agents.language.json_schema import misfits, wanted
from treadle.agents.language.model import Template
from treadle.agents.language.triggers import ChatTrigger
from treadle.agents.nodes.fields import Path
from treadle.agents.nodes.inputs import Input
from treadle.agents.values import JsonObject, JsonValue

MAX_DEPTH = 64
_CHAT: dict[str, Input] = {
    "message": Input({"type": "string"}, optional=True),
    "history": Input({"type": "array", "default": []}, optional=False),
    "files": Input({"type": "array", "default": []}, optional=False),
}


def declared_inputs(template: Template) -> Mapping[str, Input]:
    """What a template's runs take; a chat trigger declares message, history and files."""
    if any(isinstance(trigger, ChatTrigger) for trigger in template.triggers):
        return {**_CHAT, **template.inputs}
    return template.inputs


def validate_inputs(template: Template, inputs: Mapping[str, JsonValue]) -> JsonObject:
    """The inputs with defaults filled in, absent optional ones null; raises `InputsInvalid`."""
    filled, issues = fill_inputs(declared_inputs(template), inputs, dict(template.schemas))
    if issues:
        raise InputsInvalid(issues)
    return filled


def fill_inputs(
    declared: Mapping[str, Input],
    given: Mapping[str, JsonValue],
    schemas: JsonObject,
    *,
    section: str = "inputs",
) -> tuple[JsonObject, list[Issue]]:
    """Values by the declarations, and what is wrong with them; `section` starts the paths."""
    issues = [
        _issue((section, name), f"unknown input `{name[:80]}`",
               did_you_mean_or(name, declared, what="Declared"))
        for name in given
        if name not in declared
    ]  # fmt: skip
    filled: JsonObject = {}
    for name, one in declared.items():
        if name in given and not (given[name] is None and one.optional):
            filled[name] = given[name]
            issues += _value_issues(one, given[name], (section, name), schemas)
        elif one.is_required:
            kind = wanted(one.schema)
            hint = f"It takes {kind}." if kind else None
            issues.append(_issue((section, name), f"missing input `{name}`", hint))
        else:
            filled[name] = one.default
    return filled, issues


def _value_issues(one: Input, value: JsonValue, path: Path, schemas: JsonObject) -> list[Issue]:
    if _is_deeper(value, MAX_DEPTH):
        return [_issue(path, f"nested deeper than {MAX_DEPTH} levels", None)]
    found = misfits(value, one.schema, schemas)
    return [_issue((*path, *misfit.path), misfit.message, None) for misfit in found]


def _is_deeper(value: JsonValue, most: int) -> bool:
    """Whether a value is nested deeper; without recursion, because it may be very deep."""
    level: list[JsonValue] = [value]
    for _ in range(most):
        inner: list[JsonValue] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        if not inner:
            return False
        level = inner
    return True


def _issue(path: Path, message: str, hint: str | None) -> Issue:
    return Issue("error", dotted(path), None, None, message, hint)

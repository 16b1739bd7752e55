"""Checks the names people choose: well formed, not reserved, shadowing nothing."""

import re

from treadle.agents.language.findings import Findings
from treadle.agents.language.model import Template
from treadle.agents.language.scope import Scope
from treadle.agents.language.scopes import Layout, Visit
from treadle.agents.nodes.base import ID_PATTERN
from treadle.agents.nodes.fields import Path
from treadle.agents.nodes.map import MapNode
from treadle.agents.nodes.switch import SwitchNode

RESERVED = frozenset(
    {"inputs", "connections", "nodes", "run", "loop", "state", "event", "error", "outputs"}
)
KEYWORDS = frozenset(
    {"and", "or", "not", "in", "is", "if", "elif", "else", "endif", "for", "endfor", "true",
     "false", "none", "recursive"}
)  # fmt: skip
_INPUT = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


def check_names(template: Template, layout: Layout, findings: Findings) -> None:
    """Report every id, `as` name, input and connection whose name cannot be."""
    for path, scope in layout.scopes:
        for name in sorted(scope.ids):
            _check_id(name, (*path, name), scope, findings)
    for visit in layout.visits:
        _check_inside(visit, findings)
    for section, declared in (("inputs", template.inputs), ("connections", template.connections)):
        for name in declared:
            if not _INPUT.fullmatch(name):
                hint = "Use letters, digits and underscores, a letter first."
                _report(findings, (section, name), f"wrong name {name[:80]!r}", hint)


def _check_id(name: str, path: Path, scope: Scope, findings: Findings) -> None:
    problem = _problem(name)
    if problem is not None:
        _report(findings, path, *problem)
    elif scope.parent is not None and scope.parent.holder_of(name) is not None:
        _report(findings, path, f"`{name}` shadows a name outside", "Choose another name.")
    elif name in scope.names:
        _report(findings, path, f"`{name}` is the name of the map's item", "Choose another name.")


def _check_inside(visit: Visit, findings: Findings) -> None:
    match visit.node:
        case MapNode(item_name=name):
            path = (*visit.path, "as")
            problem = _problem(name)
            if problem is not None:
                _report(findings, path, *problem)
            elif visit.scope.holder_of(name) is not None:
                hint = "Choose another name with `as`."
                _report(findings, path, f"the item name `{name}` shadows a name outside", hint)
        case SwitchNode():
            _check_cases(visit, findings)
        case _:
            pass


def _check_cases(visit: Visit, findings: Findings) -> None:
    seen: dict[str, int] = {}
    for index, scope in enumerate(visit.scope.inner[visit.name]):
        for name in sorted(scope.ids):
            first = seen.setdefault(name, index)
            if first != index:
                path = (*visit.path, "cases", index, "nodes", name)
                message = f"`{name}` is already a node of case {first + 1}"
                hint = "Ids are unique across the cases of a switch."
                _report(findings, path, message, hint)


def _problem(name: str) -> tuple[str, str] | None:
    if name in RESERVED:
        return f"`{name}` is a reserved word", f"Reserved: {', '.join(sorted(RESERVED))}."
    if name in KEYWORDS:
        return f"`{name}` is a keyword of expressions", "Choose another name."
    if not re.fullmatch(ID_PATTERN.strip("^$"), name, re.ASCII):
        hint = "An id has lower-case letters, digits and underscores, a letter first, at most 63."
        return f"wrong id {name[:80]!r}", hint
    return None


def _report(findings: Findings, path: Path, message: str, hint: str) -> None:
    findings.error(path, message, hint, spot=findings.document.key_spot(path))

"""Checks every name that is read: known here, in scope, with a field its value has."""

from treadle.agents.expressions import Reference
from treadle.agents.language import outputs, shapes
from treadle.agents.language.findings import Findings, did_you_mean, did_you_mean_or
from treadle.agents.language.graph import node_read
from treadle.agents.language.model import Template
from treadle.agents.language.scope import Scope
from treadle.agents.language.scopes import ERROR, NODE_FIELDS, RUN_FIELDS, Layout, Visit
from treadle.agents.language.shapes import ANYTHING, TEXT, Fields, NoField, Shape
from treadle.agents.language.walk import Expression, expressions, placed_references
from treadle.agents.nodes.fields import Path
from treadle.agents.nodes.loop import LoopNode
from treadle.agents.nodes.map import MapNode
from treadle.agents.nodes.switch import SwitchNode

_ELSEWHERE = {
    "state": "`state` is known only inside a loop",
    "loop": "`loop` is known only inside a map or a loop",
    "event": "`event` is known only in triggers",
    "error": "`error` is known only in `on_failure` and in `on_error`",
    "outputs": "`outputs` is known only in tests",
}
_NOTHING = {"null", "None", "nil", "undefined"}
_SECRETS = {"secrets", "secret", "env", "credentials", "config", "settings"}


class ReferenceCheck:
    """Checks the references of one template."""

    def __init__(self, template: Template, layout: Layout, findings: Findings) -> None:
        self._template = template
        self._layout = layout
        self._findings = findings
        self._inside: dict[str, str] = {}
        self.read: set[tuple[int, str]] = set()
        """Every name that is read, with the `id` of the scope it stands in."""
        for visit in layout.visits:
            if visit.owners:
                self._inside.setdefault(visit.name, visit.owners[-1])

    def check(self) -> None:
        """Check everything: nodes, outputs, triggers, tests."""
        for visit in self._layout.visits:
            self._check_node(visit)
        root = self._layout.root
        for name, value in self._template.outputs.items():
            self._check(value, ("outputs", name), root)
        self._check_triggers()
        self._check_tests()

    def _check_node(self, visit: Visit) -> None:
        inner = visit.scope.inner[visit.name]
        for path, expression in expressions(visit.node):
            scope = scope_of(visit, path, inner)
            self._check(expression, (*visit.path, *path), scope)
        for index, name in enumerate(visit.node.needs):
            self._note(name, visit.scope)
            if name not in visit.scope.visible_ids():
                path = (*visit.path, "needs", index)
                self._unknown(name, visit.scope.visible_ids(), path, None, what="node")

    def _check_triggers(self) -> None:
        world = self._layout.root.world
        scope = Scope(world, None, {}, frozenset(), {"event": ANYTHING})
        for index, trigger in enumerate(self._template.triggers):
            for path, expression in expressions(trigger):
                self._check(expression, ("triggers", index, *path), scope)

    def _check_tests(self) -> None:
        run: dict[str, Shape] = dict.fromkeys((*RUN_FIELDS, "status"), TEXT)
        results = Fields(dict.fromkeys(self._template.outputs, ANYTHING))
        scope = self._layout.root.with_names({"run": Fields(run), "outputs": results})
        for index, test in enumerate(self._template.tests):
            for number, condition in enumerate(test.expect):
                self._check(condition, ("tests", index, "expect", number), scope)

    def _check(self, expression: Expression, path: Path, scope: Scope) -> None:
        for placed in placed_references(expression, path):
            reference = placed.reference
            self._note(node_read(reference), scope)
            if scope.holder_of(reference.name) is None:
                self._unknown(reference.name, scope.visible(), placed.path, reference)
            elif reference.name == "nodes":
                self._check_record(reference, placed.path, scope)
            else:
                shape = outputs.name_shape(scope, reference.name)
                self._check_fields(shape, reference.name, reference.fields, reference, placed.path)

    def _note(self, name: str, scope: Scope) -> None:
        holder = scope.holder_of(name)
        if holder is not None:
            self.read.add((id(holder), name))

    def _check_record(self, reference: Reference, path: Path, scope: Scope) -> None:
        if not reference.fields:
            hint = "Write nodes.<id>.status; references make edges, so the id must be constant."
            self._report(path, "`nodes` is read without naming a node", hint, reference)
            return
        name, *fields = reference.fields
        if name not in scope.visible_ids():
            self._unknown(name, scope.visible_ids(), path, reference, what="node")
            return
        record = dict.fromkeys(NODE_FIELDS, ANYTHING) | {
            "output": outputs.name_shape(scope, name),
            "error": ERROR,
            "status": TEXT,
        }
        self._check_fields(Fields(record), f"nodes.{name}", tuple(fields), reference, path)

    def _check_fields(
        self, shape: Shape, owner: str, fields: tuple[str, ...], reference: Reference, path: Path
    ) -> None:
        for name in fields:
            found = shapes.field(shape, name)
            if isinstance(found, NoField):
                if not reference.guarded:
                    self._report_field(found, owner, name, reference, path)
                return
            shape, owner = found, f"{owner}.{name}"

    def _report_field(
        self, missing: NoField, owner: str, name: str, reference: Reference, path: Path
    ) -> None:
        if owner == "inputs" or owner == "connections":
            message = f"unknown {owner.removesuffix('s')} `{name}`"
            hint = did_you_mean_or(name, missing.known, what="Declared")
        elif missing.what == "an object":
            message = f"`{owner}` has no field `{name}`"
            hint = did_you_mean_or(name, missing.known, what="It has")
        else:
            message = f"`{owner}` is {missing.what} and has no field `{name}`"
            hint = None
        self._report(path, message, hint, reference)

    def _unknown(
        self,
        name: str,
        visible: list[str],
        path: Path,
        reference: Reference | None,
        *,
        what: str = "name",
    ) -> None:
        hint: str | None
        if name in self._inside:
            owner = self._inside[name]
            message = f"`{name}` is inside `{owner}`; only the output of `{owner}` can be read here"
            hint = f"Read `{owner}`, and put what you need into its `output`."
        elif name in _ELSEWHERE:
            message, hint = _ELSEWHERE[name], None
        elif name in _NOTHING:
            message, hint = f"unknown name `{name}`", "Write `none` in expressions."
        elif name in _SECRETS:
            message = f"unknown name `{name}`"
            hint = "Templates never see secrets or settings; use a connection."
        else:
            message = f"unknown {what} `{name}`"
            known = f"Known here: {', '.join(sorted(set(visible))[:20])}."
            hint = did_you_mean(name, visible) or known
        self._report(path, message, hint, reference)

    def _report(
        self, path: Path, message: str, hint: str | None, reference: Reference | None
    ) -> None:
        offset = None if reference is None else reference.offset
        spot = self._findings.document.spot_inside(path, offset)
        self._findings.error(path, message, hint, spot=spot)


def scope_of(visit: Visit, path: Path, inner: list[Scope]) -> Scope:
    """The scope that an expression at a path inside a node is evaluated in."""
    match visit.node, path:
        case MapNode(), ("output", *_):
            return inner[0]
        case LoopNode(), ("output" | "until" | "next", *_):
            return inner[0]
        case SwitchNode(), ("cases", int() as index, "output", *_):
            return inner[index]
        case _, ("on_error", *_):
            return visit.scope.with_names({"error": ERROR})
        case _:
            return visit.scope

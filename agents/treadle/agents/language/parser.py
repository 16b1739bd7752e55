"""A document to a `Template`, with everything wrong about its shape found at once.

Each node is read by its own model, so one wrong node hides nothing about the others. What is
wrong inside a part is left out and the part read again, so that the checks that follow still see
the rest of it; such a template is never handed out, because its findings hold errors.
"""

import re
from collections.abc import Iterator
from typing import TypeVar

from pydantic import ValidationError

from treadle.agents.language.complaints import Complaint, complaints, shown
from treadle.agents.language.document import Spot
from treadle.agents.language.findings import Findings, did_you_mean_or
from treadle.agents.language.mending import mended
from treadle.agents.language.model import Template
from treadle.agents.language.triggers import TRIGGER_TYPES, ToolTrigger, Trigger, WebhookTrigger
from treadle.agents.nodes import NODE_TYPES, Node, node_type
from treadle.agents.nodes.base import Part
from treadle.agents.nodes.fields import Path, marked_strings
from treadle.agents.values import JsonObject, JsonValue

P = TypeVar("P", bound=Part)
_REPAIRS = 4
MOST_EXPRESSIONS = 3_000  # texts; each takes a tenth of a millisecond to compile, and …
MOST_CHARACTERS = 50_000  # … each character between markers a hundredth
_NO_TRIGGER = WebhookTrigger(use="webhook")  # keeps the place of one that is wrong
_MARKED = re.compile(r"\$\{[{%](.*?)[%}]\}", re.DOTALL)


def parse(findings: Findings) -> Template | None:
    """The template of a document, mended where it is wrong; `None` if nothing can be made of it."""
    content = findings.document.content
    if not isinstance(content, dict):
        hint = "A template starts with `treadle: 1`."
        findings.error((), f"a template is a mapping, found {shown(content)}", hint)
        return None
    if not _is_in_bounds(content, findings):
        return None
    version = content.get("treadle", 1)
    if version != 1 or isinstance(version, bool):
        message = f"unknown language version {shown(version)}; this Treadle reads version 1"
        findings.error(("treadle",), message)
        content = {**content, "treadle": 1}
    return _Parser(findings).template(content)


def _is_in_bounds(content: JsonValue, findings: Findings) -> bool:
    """Whether the expressions can be compiled in reasonable time; reports it if not."""
    texts = [text for _, text in marked_strings(content)]
    if len(texts) > MOST_EXPRESSIONS:
        findings.error((), f"a template has at most {MOST_EXPRESSIONS} texts with expressions")
        return False
    marked = sum(len(inside) for text in texts for inside in _MARKED.findall(text))
    if marked + sum(map(len, _conditions(content))) > MOST_CHARACTERS:
        message = f"the expressions of a template have at most {MOST_CHARACTERS} characters"
        findings.error((), message, "Move what repeats into a `set` node.")
        return False
    return True


def _conditions(content: JsonValue) -> Iterator[str]:
    """What stands where a bare expression is expected."""
    match content:
        case dict():
            for key, item in content.items():
                if key in {"when", "until"} and isinstance(item, str):
                    yield item
                elif key == "expect" and isinstance(item, list):
                    yield from (one for one in item if isinstance(one, str))
                else:
                    yield from _conditions(item)
        case list():
            for item in content:
                yield from _conditions(item)
        case _:
            return


class _Parser:
    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    def template(self, content: JsonObject) -> Template | None:
        raw: dict[str, object] = dict(content)
        if "nodes" in raw:
            raw["nodes"] = self._nodes(content["nodes"], ("nodes",))
            if content["nodes"] == {}:
                self._findings.error(("nodes",), "a template needs at least one node")
        failure = content.get("on_failure")
        if isinstance(failure, dict) and "nodes" in failure:
            nodes = self._nodes(failure["nodes"], ("on_failure", "nodes"))
            raw["on_failure"] = {**failure, "nodes": nodes}
        triggers = content.get("triggers")
        if isinstance(triggers, list):
            raw["triggers"] = self._triggers(triggers)
        return self._part(Template, raw, ())

    def _nodes(self, raw: JsonValue, path: Path) -> object:
        if not isinstance(raw, dict):
            return raw
        nodes = {name: self._node(item, (*path, name)) for name, item in raw.items()}
        return {name: node for name, node in nodes.items() if node is not None}

    def _node(self, raw: JsonValue, path: Path) -> Node | None:
        if not isinstance(raw, dict):
            self._findings.error(path, f"a node is a mapping with `use`, found {shown(raw)}")
            return None
        model = self._model(raw, path)
        return None if model is None else self._part(model, self._with_inner(raw, path), path)

    def _model(self, raw: JsonObject, path: Path) -> type[Node] | None:
        if "use" not in raw:
            hint = "Say what the node is, such as `use: llm`."
            self._findings.error((*path, "use"), "missing key `use`", hint, spot=self._holder(path))
            return None
        use = raw["use"]
        if not isinstance(use, str):
            self._findings.error((*path, "use"), f"expected a node type, found {shown(use)}")
            return None
        model = node_type(use)
        if model is None:
            hint = did_you_mean_or(use, NODE_TYPES, what="Node types")
            self._findings.error((*path, "use"), f"unknown node type {shown(use)}", hint)
        return model

    def _with_inner(self, raw: JsonObject, path: Path) -> dict[str, object]:
        """The node with the nodes inside it already read."""
        mixed: dict[str, object] = dict(raw)
        if raw.get("use") in {"map", "loop"} and "nodes" in raw:
            mixed["nodes"] = self._nodes(raw["nodes"], (*path, "nodes"))
        cases = raw.get("cases")
        if raw.get("use") == "switch" and isinstance(cases, list):
            mixed["cases"] = [
                self._case(case, (*path, "cases", index)) for index, case in enumerate(cases)
            ]
        return mixed

    def _case(self, raw: JsonValue, path: Path) -> object:
        if not isinstance(raw, dict) or "nodes" not in raw:
            return raw
        return {**raw, "nodes": self._nodes(raw["nodes"], (*path, "nodes"))}

    def _triggers(self, raw: list[JsonValue]) -> list[Trigger]:
        read = [self._trigger(item, ("triggers", index)) for index, item in enumerate(raw)]
        return [_NO_TRIGGER if trigger is None else trigger for trigger in read]

    def _trigger(self, raw: JsonValue, path: Path) -> Trigger | None:
        use = raw.get("use") if isinstance(raw, dict) else None
        if not isinstance(raw, dict) or not isinstance(use, str):
            self._findings.error(path, "a trigger is a mapping with `use`")
            return None
        if use in TRIGGER_TYPES:
            return self._part(TRIGGER_TYPES[use], dict(raw), path)
        if "." in use:
            return self._part(ToolTrigger, dict(raw), path)
        hint = did_you_mean_or(use, TRIGGER_TYPES, what="Triggers")
        self._findings.error((*path, "use"), f"unknown trigger {shown(use)}", hint)
        return None

    def _part(self, model: type[P], raw: dict[str, object], path: Path) -> P | None:
        """Read a part; what is wrong is reported, left out, and the rest read again."""
        reported: set[Path] = set()  # what stands there since is a placeholder of ours
        for _ in range(_REPAIRS):
            try:
                return model.model_validate(raw)
            except ValidationError as error:
                original = self._findings.document.at(path)
                found = [
                    complaint
                    for details in error.errors(include_url=False)
                    for complaint in complaints(details, model, original)
                ]
            for complaint in found:
                if complaint.path not in reported:
                    self._report(complaint, path)
            reported |= {complaint.path for complaint in found}
            raw = mended(raw, found)
        return None

    def _report(self, complaint: Complaint, base: Path) -> None:
        path = (*base, *complaint.path)
        document = self._findings.document
        spot: Spot | None = None
        if complaint.at == "key":
            spot = document.key_spot(path)
        elif complaint.at == "holder":
            if path in document.values:  # it stands there, but was wrong and has been reported
                return
            if path[:-1] and path[:-1] not in document.values:  # what it lacks is missing itself
                return
            spot = self._holder(path[:-1])
        elif complaint.offset is not None:
            spot = document.spot_inside(path, complaint.offset)
        self._findings.error(path, complaint.message, complaint.hint, spot=spot)

    def _holder(self, path: Path) -> Spot:
        return self._findings.document.spot(path)

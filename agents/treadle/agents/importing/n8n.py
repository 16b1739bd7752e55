"""n8n workflows of the common nodes."""

import json
import re
from graphlib import CycleError, TopologicalSorter

from treadle.agents.errors import ExpressionError
from treadle.agents.expressions import compile_expression, compile_value
from treadle.agents.importing.drafts import Draft, Workflow, free_id, placeholder, template_name
from treadle.agents.importing.errors import ImportFailed
from treadle.agents.importing.reading import listed, mapping, mappings, string
from treadle.agents.values import JsonObject, JsonValue

_PATH = r"(?P<path>(?:\.[A-Za-z_]\w*|\[\d+\])*)"
_NAMED = re.compile(
    r"""\$(?:node\[(["'])(?P<a>.+?)\1\]|\((["'])(?P<b>.+?)\3\)(?:\.(?:item|first\(\)|last\(\)))?)"""
    r"\.json" + _PATH
)
_JSON = re.compile(r"\$json\b" + _PATH)
_OPERATORS = {"===": "==", "!==": "!=", "&&": " and ", "||": " or ", "!": " not "}
_OPERATOR = re.compile(r"===|!==|&&|\|\||!(?!=)")
_LITERAL = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""")
_COMPARISONS = {
    "equals": "{0} == {1}", "notEquals": "{0} != {1}", "gt": "{0} > {1}", "lt": "{0} < {1}",
    "gte": "{0} >= {1}", "lte": "{0} <= {1}", "larger": "{0} > {1}", "smaller": "{0} < {1}",
    "equal": "{0} == {1}", "notEqual": "{0} != {1}", "contains": "{1} in {0}",
    "notContains": "{1} not in {0}", "exists": "{0} is not none", "notExists": "{0} is none",
    "empty": "not {0}", "notEmpty": "{0}", "isEmpty": "not {0}", "isNotEmpty": "{0}",
    "true": "{0} == true", "false": "{0} == false",
}  # fmt: skip
_ORDERS = frozenset({"gt", "lt", "gte", "lte", "larger", "smaller"})
_TRIGGERS = frozenset(
    {"manualTrigger", "webhook", "scheduleTrigger", "formTrigger", "start", "cron",
     "executeWorkflowTrigger"}
)  # fmt: skip
_BRANCHING = frozenset({"if", "switch"})
_UNITS = {"seconds": "s", "minutes": "m", "hours": "h", "days": "d"}
_EMPTY: JsonObject = {"body": {}, "headers": {}, "query": {}}


def from_n8n(content: JsonObject) -> str:
    """A template's text; raises `ImportFailed`."""
    return _Import(content).text()


class _Import:
    def __init__(self, content: JsonObject) -> None:
        title = string(content.get("name")) or "Imported"
        self._workflow = Workflow(template_name(title), title, "n8n")
        self._workflow.remarks.append("n8n runs a node once per item; here each runs once.")
        self._nodes = {string(node.get("name")): node for node in mappings(content.get("nodes"))}
        self._ids: dict[str, str] = {}
        for name in self._nodes:
            self._ids[name] = free_id(name, self._ids.values(), fallback="node")
        self._upstream: dict[str, list[tuple[str, int]]] = {name: [] for name in self._nodes}
        for source, kinds in mapping(content.get("connections")).items():
            outputs = listed(mapping(kinds).get("main"))
            for index, targets in enumerate(outputs):
                for target in mappings(targets):
                    name = string(target.get("node"))
                    if name in self._nodes and source in self._nodes:
                        self._upstream[name].append((source, index))

    def text(self) -> str:
        """The whole template."""
        for name in self._order():
            node, kind = self._nodes[name], _kind(self._nodes[name])
            if kind == "stickyNote":
                self._workflow.remarks.append(
                    string(mapping(node.get("parameters")).get("content"))
                )
            elif kind in _TRIGGERS:
                self._read_trigger(kind, mapping(node.get("parameters")))
            elif kind.startswith(("lmChat", "memory", "outputParser")):
                self._workflow.remarks.append(
                    f"NOT CARRIED OVER: {name!r} ({kind}); the installation's own model is asked."
                )
            else:
                self._add(name, node, kind)
        if not self._workflow.nodes:
            raise ImportFailed("the workflow has no nodes")
        read = {source for sources in self._upstream.values() for source, _ in sources}
        for name, id_ in self._ids.items():
            if name not in read and id_ in self._workflow.nodes:
                self._workflow.outputs[id_] = f"${{{{ {id_} }}}}"
        return self._workflow.text()

    def _order(self) -> list[str]:
        graph = {name: [source for source, _ in found] for name, found in self._upstream.items()}
        try:
            return list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            raise ImportFailed("the workflow goes in a circle; loops are not imported") from error

    def _add(self, name: str, node: JsonObject, kind: str) -> None:
        draft = self._draft(self._ids[name], name, kind, mapping(node.get("parameters")))
        draft.branches = [self._branch(source, index) for source, index in self._upstream[name]]
        if draft.is_conditional and kind in _BRANCHING:
            draft.body["else"] = {"branch": None, "json": None}
        if draft.body["use"] != "set":
            _add_failures(draft, node)
        self._workflow.nodes[draft.id] = draft

    def _branch(self, source: str, index: int) -> str | None:
        id_ = self._ids[source]
        draft = self._workflow.nodes.get(id_)
        if draft is not None and _kind(self._nodes[source]) in _BRANCHING:
            return f"{id_}.branch == {index}"
        return f"nodes.{id_}.status != 'skipped'" if draft and draft.is_conditional else None

    def _read_trigger(self, kind: str, parameters: JsonObject) -> None:
        for name, value in _EMPTY.items():
            self._workflow.inputs[name] = {"type": "object", "default": value}
        if kind in {"webhook", "formTrigger"}:
            event = {name: f"${{{{ event.{name} }}}}" for name in ("body", "headers")}
            self._workflow.triggers.append({"use": "webhook", "inputs": dict(event)})
        for rule in mappings(mapping(parameters.get("rule")).get("interval")):
            trigger = _schedule(rule)
            if trigger is None:
                self._workflow.remarks.append(f"NOT CARRIED OVER: the schedule {json.dumps(rule)}")
            else:
                self._workflow.triggers.append(trigger)

    def _draft(self, id_: str, name: str, kind: str, parameters: JsonObject) -> Draft:
        remarks: list[str] = []
        draft = self._acting(id_, name, kind, parameters, remarks)
        draft = draft or self._computing(id_, name, kind, parameters, remarks)
        draft.remarks += remarks
        return draft

    def _acting(
        self, id_: str, name: str, kind: str, parameters: JsonObject, remarks: list[str]
    ) -> Draft | None:
        """Nodes that reach outside or wait."""
        match kind:
            case "httpRequest":
                return self._request(id_, name, parameters, remarks)
            case "wait":
                unit = _UNITS.get(string(parameters.get("unit")), "h")
                amount = parameters.get("amount")
                length = f"{int(amount) if isinstance(amount, int | float) else 1}{unit}"
                return Draft(id_, {"use": "wait", "with": {"for": length}})
            case "chainLlm" | "agent" | "openAi":
                text = parameters.get("text") or parameters.get("prompt") or "={{ $json }}"
                asked: JsonObject = {"prompt": self._value(name, text, remarks)}
                if kind == "agent":
                    remarks.append("NOT CARRIED OVER: its tools; give them to an `agent` node.")
                return Draft(id_, {"use": "llm", "with": asked})
            case _:
                return None

    def _computing(
        self, id_: str, name: str, kind: str, parameters: JsonObject, remarks: list[str]
    ) -> Draft:
        match kind:
            case "set" | "editFields":
                return Draft(id_, {"use": "set", "with": self._fields(name, parameters, remarks)})
            case "if":
                return self._choice(id_, name, [mapping(parameters.get("conditions"))], remarks)
            case "switch":
                rules = mapping(parameters.get("rules"))
                found = mappings(rules.get("values")) or mappings(rules.get("rules"))
                tests = [mapping(one.get("conditions")) for one in found]
                return self._choice(id_, name, tests, remarks)
            case "noOp" | "respondToWebhook":
                return Draft(id_, {"use": "set", "with": f"${{{{ {self._json(name)} }}}}"})
            case "merge":
                sources = ", ".join(self._json_of(one) for one, _ in self._upstream[name])
                return Draft(id_, {"use": "set", "with": f"${{{{ [{sources}] }}}}"})
            case "code" | "function" | "functionItem":
                code = string(parameters.get("jsCode") or parameters.get("functionCode"))
                return placeholder(id_, f"code; there is no code node here.\n{code}")
            case _:
                return placeholder(id_, f"a node of type {kind!r}, named {name!r}")

    def _request(self, id_: str, name: str, given: JsonObject, remarks: list[str]) -> Draft:
        sent: JsonObject = {
            "method": string(given.get("method")) or "GET",
            "url": self._value(name, given.get("url"), remarks),
        }
        for key, field in (("headers", "headerParameters"), ("query", "queryParameters")):
            pairs = mappings(mapping(given.get(field)).get("parameters"))
            if pairs:
                sent[key] = {
                    string(one.get("name")): self._value(name, one.get("value"), remarks)
                    for one in pairs
                }
        if given.get("jsonBody"):
            body = self._value(name, given["jsonBody"], remarks)
            sent["json" if _is_whole(body) else "body"] = body
        fields = mappings(mapping(given.get("bodyParameters")).get("parameters"))
        if fields:
            sent["json"] = {
                string(one.get("name")): self._value(name, one.get("value"), remarks)
                for one in fields
            }
        node: JsonObject = {"use": "http.request"}
        if given.get("authentication") not in {None, "none"}:
            node["connection"] = id_
            self._workflow.connections[id_] = {"type": "http"}
            remarks.append("Its credentials belong in a connection; bind one to the agent.")
        return Draft(id_, {**node, "with": sent})

    def _fields(self, name: str, parameters: JsonObject, remarks: list[str]) -> JsonValue:
        rows = mappings(mapping(parameters.get("assignments")).get("assignments"))
        for group in mapping(parameters.get("values")).values():
            rows += mappings(group)
        made = {
            string(row.get("name")): self._value(name, row.get("value"), remarks) for row in rows
        }
        return dict(made)

    def _choice(self, id_: str, name: str, tests: list[JsonObject], remarks: list[str]) -> Draft:
        expression = str(len(tests))
        for index, test in reversed(list(enumerate(tests))):
            joint = f" {test.get('combinator') or 'and'} "
            found = [
                self._condition(name, one, remarks) for one in mappings(test.get("conditions"))
            ]
            whole = joint.join(f"({one})" for one in found) or "true"
            expression = f"{index} if {whole} else ({expression})"
        value: JsonObject = {
            "branch": f"${{{{ {expression} }}}}",
            "json": f"${{{{ {self._json(name)} }}}}",
        }
        return Draft(id_, {"use": "set", "with": value})

    def _condition(self, name: str, one: JsonObject, remarks: list[str]) -> str:
        operation = string(mapping(one.get("operator")).get("operation"))
        form = _COMPARISONS.get(operation)
        left = self._operand(name, one.get("leftValue"))
        right = self._operand(name, one.get("rightValue"))
        if operation in _ORDERS:
            left, right = _or_zero(left), _or_zero(right)
        text = (
            None
            if form is None or left is None or right is None
            else form.format(_tight(left), _tight(right))
        )
        if text is None or not _is_expression(text):
            remarks.append(f"NOT CARRIED OVER: a condition; it never holds here: {json.dumps(one)}")
            return "false"
        return text

    def _operand(self, name: str, value: JsonValue) -> str | None:
        if isinstance(value, str) and value.startswith("="):
            inside = value[1:].strip()
            if inside.startswith("{{") and inside.endswith("}}"):
                return self._expression(name, inside[2:-2])
            return None
        if value is None:
            return "none"
        return (
            json.dumps(value, ensure_ascii=False) if isinstance(value, str | int | float) else None
        )

    def _value(self, name: str, value: JsonValue, remarks: list[str]) -> JsonValue:
        """A parameter: `=` marks one with expressions."""
        if not isinstance(value, str) or not value.startswith("="):
            return value
        text = re.sub(
            r"\{\{(.*?)\}\}",
            lambda found: f"${{{{ {self._expression(name, found[1])} }}}}",
            value[1:],
            flags=re.DOTALL,
        )
        try:
            compile_value(text)
        except ExpressionError:
            remarks.append(f"NOT CARRIED OVER: the expression {value}")
            return None
        return text

    def _expression(self, name: str, source: str) -> str:
        """JavaScript to an expression, as far as both say it alike."""
        parts = _LITERAL.split(_NAMED.sub(self._named, source.strip()))
        for index in range(0, len(parts), 2):
            part = _JSON.sub(lambda found: _field(self._json(name), found["path"]), parts[index])
            parts[index] = _OPERATOR.sub(lambda found: _OPERATORS[found[0]], part)
        return "".join(parts)

    def _named(self, found: re.Match[str]) -> str:
        return _field(self._json_of(found["a"] or found["b"]), found["path"])

    def _json(self, name: str) -> str:
        """What `$json` is in a node: the output of the one before it."""
        sources = self._upstream[name]
        return self._json_of(sources[0][0]) if sources else "inputs"

    def _json_of(self, name: str) -> str:
        kind = _kind(self._nodes.get(name, {}))
        if kind in _TRIGGERS:
            return "inputs"
        id_ = self._ids.get(name, "none")
        if kind in {"httpRequest", *_BRANCHING}:
            return f"{id_}.json"
        return id_


def _kind(node: JsonObject) -> str:
    return string(node.get("type")).rpartition(".")[2]


def _or_zero(operand: str | None) -> str | None:
    """An operand of an order; a missing one is null, which has none."""
    return f"({operand} | default(0))" if operand and not operand[0].isdigit() else operand


def _tight(operand: str) -> str:
    is_plain = re.fullmatch(r"[\w.]+|\(.*\)|\"[^\"]*\"", operand) is not None
    return operand if is_plain else f"({operand})"


def _field(source: str, path: str) -> str:
    """A field that may be missing, as in JavaScript."""
    return f"({source}{path} | default(none))" if path else source


def _is_whole(value: JsonValue) -> bool:
    return isinstance(value, str) and value.startswith("${{") and value.count("${{") == 1


def _is_expression(text: str) -> bool:
    try:
        compile_expression(text)
    except ExpressionError:
        return False
    return True


def _add_failures(draft: Draft, node: JsonObject) -> None:
    tries, pause = node.get("maxTries"), node.get("waitBetweenTries")
    if node.get("retryOnFail"):
        draft.body["retry"] = {
            "attempts": max(1, min(10, tries)) if isinstance(tries, int) else 3,
            "backoff": "fixed",
            "initial": f"{pause if isinstance(pause, int) and pause > 0 else 1000}ms",
        }
    if string(node.get("onError")).startswith("continue") or node.get("continueOnFail"):
        draft.body["on_error"] = {"value": None}


def _schedule(rule: JsonObject) -> JsonObject | None:
    if rule.get("field") == "cronExpression":
        cron = string(rule.get("expression"))
        return {"use": "schedule", "cron": cron} if len(cron.split()) == 5 else None
    field = string(rule.get("field")) or "days"
    every, unit = rule.get(f"{field}Interval", 1), _UNITS.get(field)
    if unit is None or not isinstance(every, int):
        return None
    return {"use": "schedule", "every": f"{every}{unit}"}

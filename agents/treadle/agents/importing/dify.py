"""Dify DSL files: `kind: app`, workflow mode."""

import re
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

from treadle.agents.importing.drafts import Draft, Workflow, free_id, placeholder, template_name
from treadle.agents.importing.errors import ImportFailed
from treadle.agents.importing.reading import listed, mapping, mappings, string
from treadle.agents.values import JsonObject, JsonValue

_REFERENCE = re.compile(r"\{\{#([^#{}]+)#\}\}")
_MARKED = re.compile(r"\{\{(.*?)\}\}|\{%(.*?)%\}", re.DOTALL)
_TYPES: dict[str, JsonObject] = {
    "text-input": {"type": "string"},
    "paragraph": {"type": "string"},
    "select": {"type": "string"},
    "number": {"type": "number"},
    "checkbox": {"type": "boolean"},
    "file": {"type": "string", "format": "file"},
    "file-list": {"type": "array", "items": {"type": "string", "format": "file"}},
}
_FIELDS: dict[str, dict[str, str]] = {
    "llm": {"text": ""},
    "http-request": {"body": ".body", "status_code": ".status", "headers": ".headers"},
    "template-transform": {"output": ".text"},
    "variable-aggregator": {"output": ".value"},
    "knowledge-retrieval": {"result": ".passages"},
    "iteration": {"output": ""},
}
_COMPARISONS = {
    "is": "{left} == {right}", "is not": "{left} != {right}", "=": "{left} == {right}",
    "≠": "{left} != {right}", ">": "{left} > {right}", "<": "{left} < {right}",
    "≥": "{left} >= {right}", "≤": "{left} <= {right}", "contains": "{right} in {left}",
    "not contains": "{right} not in {left}", "empty": "not {left}", "not empty": "{left}",
    "null": "{left} is none", "not null": "{left} is not none", "exists": "{left} is not none",
}  # fmt: skip
_ITEM_ERRORS = {"continue-on-error": "null", "remove-abnormal-output": "skip"}


def from_dify(content: JsonObject) -> str:
    """A template's text; raises `ImportFailed`."""
    app = mapping(content.get("app"))
    if app.get("mode") != "workflow":
        raise ImportFailed(f"the app's mode is {app.get('mode')!r}; only workflow can be imported")
    return _Import(app, mapping(mapping(content.get("workflow")).get("graph"))).text()


class _Import:
    def __init__(self, app: JsonObject, graph: JsonObject) -> None:
        title = string(app.get("name")) or "Imported"
        self._workflow = Workflow(
            template_name(title), title, "Dify", string(app.get("description")).strip()
        )
        self._data = {
            string(node.get("id")): mapping(node.get("data"))
            for node in mappings(graph.get("nodes"))
        }
        self._parents = {
            string(node.get("id")): string(node.get("parentId"))
            or string(mapping(node.get("data")).get("iteration_id"))
            for node in mappings(graph.get("nodes"))
        }
        self._edges = mappings(graph.get("edges"))
        self._ids: dict[str, str] = {}
        self._items: dict[str, str] = {}
        for id_, data in self._data.items():
            title = string(data.get("title"))
            taken = self._ids.values()
            self._ids[id_] = free_id(title, taken, fallback=_kind(data).replace("-", "_") or "node")

    def text(self) -> str:
        """The whole template."""
        for id_ in self._order():
            data = self._data[id_]
            if self._parents[id_]:
                continue
            if _kind(data) == "start":
                self._read_start(data)
            elif _kind(data) in {"end", "answer"}:
                self._read_end(data)
            else:
                self._add(id_, self._workflow.nodes)
        if not self._workflow.nodes:
            raise ImportFailed("the workflow has no nodes")
        return self._workflow.text()

    def _add(self, id_: str, nodes: dict[str, Draft]) -> None:
        data = self._data[id_]
        if _kind(data) == "iteration":
            draft = self._iteration(id_, data)
        else:
            draft = self._draft(self._ids[id_], data)
        draft.branches = self._branches(id_, nodes)
        nodes[draft.id] = draft
        if draft.is_conditional and "branch" in mapping(draft.body.get("with")):
            draft.body["else"] = {"branch": None}

    def _iteration(self, id_: str, data: JsonObject) -> Draft:
        inner: dict[str, Draft] = {}
        self._items[id_] = free_id("item", self._ids.values(), fallback="item")
        for child in self._order():
            if self._parents[child] == id_ and _kind(self._data[child]) != "iteration-start":
                self._add(child, inner)
        nodes: JsonObject = {name: draft.written() for name, draft in inner.items()}
        body: JsonObject = {
            "use": "map",
            "over": f"${{{{ {self._read(data.get('iterator_selector'))} }}}}",
            "as": self._items[id_],
            "concurrency": _concurrency(data),
            "on_item_error": _ITEM_ERRORS.get(string(data.get("error_handle_mode")), "fail"),
            "nodes": nodes,
            "output": f"${{{{ {self._read(data.get('output_selector'))} }}}}",
        }
        remarks = [remark for draft in inner.values() for remark in draft.remarks]
        return Draft(self._ids[id_], body, remarks)

    def _order(self) -> list[str]:
        upstream: dict[str, set[str]] = {id_: set() for id_ in self._data}
        for edge in self._edges:
            source, target = string(edge.get("source")), string(edge.get("target"))
            if source in upstream and target in upstream:
                upstream[target].add(source)
        try:
            return list(TopologicalSorter(upstream).static_order())
        except CycleError as error:
            raise ImportFailed("the workflow goes in a circle") from error

    def _branches(self, id_: str, nodes: dict[str, Draft]) -> list[str | None]:
        """The condition of every edge that leads here."""
        found: list[str | None] = []
        for edge in self._edges:
            source = string(edge.get("source"))
            if edge.get("target") != id_ or source not in self._data:
                continue
            name = self._ids[source]
            draft = nodes.get(name)
            if draft is not None and _kind(self._data[source]) in {
                "if-else",
                "question-classifier",
            }:
                found.append(f"{name}.branch == {_quoted(string(edge.get('sourceHandle')))}")
            elif draft is not None and draft.is_conditional:
                found.append(f"nodes.{name}.status != 'skipped'")
            else:
                found.append(None)
        return found

    def _read_start(self, data: JsonObject) -> None:
        for variable in mappings(data.get("variables")):
            schema: JsonObject = dict(_TYPES.get(string(variable.get("type")), {}))
            if variable.get("label"):
                schema["title"] = variable["label"]
            if variable.get("type") == "select":
                schema["enum"] = listed(variable.get("options"))
            if isinstance(variable.get("max_length"), int) and schema.get("type") == "string":
                schema["maxLength"] = variable["max_length"]
            if not variable.get("required"):
                schema["optional"] = True
            self._workflow.inputs[string(variable.get("variable"))] = schema

    def _read_end(self, data: JsonObject) -> None:
        for output in mappings(data.get("outputs")):
            name = free_id(string(output.get("variable")), self._workflow.outputs, fallback="out")
            value = f"${{{{ {self._read(output.get('value_selector'))} }}}}"
            self._workflow.outputs[name] = value
        if data.get("answer"):
            self._workflow.outputs["answer"] = self._prose(string(data["answer"]))

    def _draft(self, id_: str, data: JsonObject) -> Draft:
        match _kind(data):
            case "llm":
                return self._llm(id_, data)
            case "if-else":
                return self._choice(id_, data)
            case "http-request":
                return self._request(id_, data)
            case "template-transform":
                return Draft(id_, {"use": "set", "with": {"text": self._jinja(data)}})
            case "variable-aggregator":
                first = " | default(".join(self._read(one) for one in listed(data.get("variables")))
                ends = ")" * (len(listed(data.get("variables"))) - 1)
                value = f"${{{{ {first or 'none'}{ends} }}}}"
                return Draft(id_, {"use": "set", "with": {"value": value}})
            case "knowledge-retrieval":
                query = f"${{{{ {self._read(data.get('query_variable_selector'))} }}}}"
                body: JsonObject = {
                    "use": "knowledge.search",
                    "with": {"knowledge": "name-of-a-knowledge-base", "query": query},
                }
                return Draft(id_, body, ["Name the knowledge base that this searches."])
            case "code":
                why = f"code ({data.get('code_language')}); there is no code node here."
                code = string(data.get("code"))
                return placeholder(id_, f"{why}\n{code}", mapping(data.get("outputs")))
            case kind:
                return placeholder(id_, f"a node of type {kind!r}, titled {data.get('title')!r}")

    def _llm(self, id_: str, data: JsonObject) -> Draft:
        model = mapping(data.get("model"))
        asked: JsonObject = {}
        template = data.get("prompt_template")
        messages = mappings(template) or [{"role": "user", "text": mapping(template).get("text")}]
        said = [(string(one.get("role")), self._prose(string(one.get("text")))) for one in messages]
        system = "\n".join(text for role, text in said if role == "system")
        others = [(role, text) for role, text in said if role != "system"]
        if system and others:
            asked["system"] = system
        if len(others) == 1:
            asked["prompt"] = others[0][1]
        elif others:
            asked["messages"] = [{"role": role, "content": text} for role, text in others]
        else:
            asked["prompt"] = system
        parameters = mapping(model.get("completion_params"))
        asked |= {
            name: parameters[name] for name in ("temperature", "max_tokens") if name in parameters
        }
        remarks = [
            f"It asked the model {model.get('name')!r}; here it asks the installation's own."
        ]
        return Draft(id_, {"use": "llm", "with": asked, "timeout": "10m"}, remarks)

    def _choice(self, id_: str, data: JsonObject) -> Draft:
        cases = mappings(data.get("cases")) or [{"case_id": "true", **data}]
        remarks: list[str] = []
        expression = "'false'"
        for case in reversed(cases):
            joint = f" {case.get('logical_operator') or 'and'} "
            conditions = [self._condition(one, remarks) for one in mappings(case.get("conditions"))]
            name = string(case.get("case_id")) or string(case.get("id"))
            test = joint.join(f"({one})" for one in conditions) or "true"
            expression = f"{_quoted(name)} if {test} else ({expression})"
        body: JsonObject = {"use": "set", "with": {"branch": f"${{{{ {expression} }}}}"}}
        return Draft(id_, body, remarks)

    def _condition(self, condition: JsonObject, remarks: list[str]) -> str:
        operator = string(condition.get("comparison_operator"))
        form = _COMPARISONS.get(operator)
        if form is None:
            remarks.append(f"NOT CARRIED OVER: the comparison {operator!r}; it never holds here.")
            return "false"
        left = self._read(condition.get("variable_selector"))
        right = condition.get("value")
        is_number = condition.get("varType") == "number" and _is_number(string(right))
        text = string(right) if is_number else _quoted(string(right))
        return form.format(left=f"({left})", right=text)

    def _request(self, id_: str, data: JsonObject) -> Draft:
        sent: JsonObject = {
            "method": string(data.get("method")).upper() or "GET",
            "url": self._prose(string(data.get("url"))),
        }
        for field, key in (("headers", "headers"), ("params", "query")):
            pairs = self._pairs(string(data.get(field)))
            if pairs:
                sent[key] = pairs
        body = mapping(data.get("body"))
        content = body.get("data")
        text = string(content) or "".join(string(one.get("value")) for one in mappings(content))
        if body.get("type") not in {None, "none"} and text:
            sent["body"] = self._prose(text)
        node: JsonObject = {"use": "http.request"}
        remarks: list[str] = []
        if mapping(data.get("authorization")).get("type") not in {None, "no-auth"}:
            node["connection"] = id_
            self._workflow.connections[id_] = {"type": "http"}
            remarks.append("Its credentials belong in a connection; bind one to the agent.")
        node["with"] = sent
        self._add_failures(node, data, remarks)
        return Draft(id_, node, remarks)

    def _add_failures(self, node: JsonObject, data: JsonObject, remarks: list[str]) -> None:
        retry = mapping(data.get("retry_config"))
        most = retry.get("max_retries")
        if retry.get("retry_enabled") and isinstance(most, int):
            pause = retry.get("retry_interval")
            node["retry"] = {
                "attempts": max(1, min(10, most + 1)),
                "backoff": "fixed",
                "initial": f"{pause if isinstance(pause, int) and pause > 0 else 1000}ms",
            }
        if data.get("error_strategy") == "default-value":
            values = {
                string(one.get("key")): one.get("value")
                for one in mappings(data.get("default_value"))
            }
            node["on_error"] = {
                "value": {"status": values.get("status_code", 0), "headers": {},
                          "body": values.get("body", ""), "json": None}
            }  # fmt: skip
        elif data.get("error_strategy"):
            remarks.append(f"NOT CARRIED OVER: the error strategy {data['error_strategy']!r}.")

    def _pairs(self, text: str) -> JsonObject:
        pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
        return {name.strip(): self._prose(value.strip()) for name, _, value in pairs}

    def _prose(self, text: str) -> str:
        """Text with its references."""
        return _REFERENCE.sub(
            lambda found: f"${{{{ {self._read([*found[1].split('.')])} }}}}", text
        )

    def _jinja(self, data: JsonObject) -> str:
        names = {
            string(one.get("variable")): self._read(one.get("value_selector"))
            for one in mappings(data.get("variables"))
        }

        return _MARKED.sub(
            lambda found: f"${_named(found[0], names)}", string(data.get("template"))
        )

    def _read(self, selector: JsonValue) -> str:
        """An expression for a value selector; null where its source is not there any more."""
        parts = [part for part in listed(selector) if isinstance(part, str)]
        data = self._data.get(parts[0]) if len(parts) > 1 else None
        if data is None:
            return "none"
        if _kind(data) == "start":
            return f"inputs.{parts[1]}"
        name = self._ids[parts[0]]
        if _kind(data) == "iteration" and parts[1] in {"item", "index"}:
            return self._items[parts[0]] if parts[1] == "item" else "loop.index"
        field = _FIELDS.get(_kind(data), {}).get(parts[1], f".{parts[1]}")
        rest = "".join(f".{part}" for part in parts[2:])
        return f"{name}{field}{rest} | default(none)" if field or rest else name


def _named(text: str, sources: Mapping[str, str]) -> str:
    """Text with expressions for the names in it, leaving fields and quoted names alone."""
    for name, source in sources.items():
        written = f"({source})".replace("\\", r"\\")
        text = re.sub(rf"(?<![\w.'\"]){re.escape(name)}\b", written, text)
    return text


def _concurrency(data: JsonObject) -> int:
    most = data.get("parallel_nums")
    is_parallel = data.get("is_parallel") is True and isinstance(most, int)
    return max(1, min(256, most)) if is_parallel and isinstance(most, int) else 1


def _kind(data: JsonObject) -> str:
    return string(data.get("type"))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?", text) is not None

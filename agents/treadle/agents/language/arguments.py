"""Checks tools: that they exist, and that their arguments are right as far as they are constant."""

from collections.abc import Mapping

from pydantic import BaseModel, ValidationError

from treadle.agents.language.complaints import shown, words
from treadle.agents.language.findings import Findings, did_you_mean, did_you_mean_or
from treadle.agents.nodes import NODE_TYPES
from treadle.agents.nodes.fields import Path, Value
from treadle.agents.values import JsonObject
from treadle.integrations.registry import AnyTool


class ArgumentCheck:
    """Checks the tools of one template against a catalogue."""

    def __init__(self, tools: Mapping[str, AnyTool], findings: Findings) -> None:
        self._tools = tools
        self._findings = findings

    def find(self, name: str, path: Path) -> AnyTool | None:
        """The tool of a `use`; reports unknown ones."""
        tool = self._tools.get(name)
        if tool is None:
            known = [*self._tools, *(kind for kind in NODE_TYPES if "." in kind)]
            integration = name.partition(".")[0] + "."
            siblings = [other for other in known if other.startswith(integration)]
            hint = did_you_mean(name, known)
            if hint is None and siblings:
                hint = f"It has: {', '.join(siblings)}."
            self._findings.error(path, f"unknown tool {shown(name)}", hint)
        return tool

    def check(
        self,
        tool: AnyTool,
        arguments: Mapping[str, Value],
        path: Path,
        *,
        holder: Path,
        may_lack: frozenset[str] | None = frozenset(),
    ) -> None:
        """Check the arguments at `path`.

        `holder` is the node, shown where there is no `with`; `may_lack` names required arguments
        that come from elsewhere, `None` means all do.
        """
        declared = parameters(tool.params)
        for name in arguments:
            if name not in declared:
                spot = self._findings.document.key_spot((*path, name))
                hint = did_you_mean_or(name, declared, what=f"`{tool.name}` takes")
                message = f"`{tool.name}` has no argument `{name}`"
                self._findings.error((*path, name), message, hint, spot=spot)
        has_with = path in self._findings.document.values
        spot = self._findings.document.spot(path if has_with else holder)
        for name, is_required in declared.items():
            is_given = name in arguments or may_lack is None or name in may_lack
            if is_required and not is_given:
                message = f"`{tool.name}` needs the argument `{name}`"
                self._findings.error((*path, name), message, spot=spot)
        self._check_constants(tool, {k: v for k, v in arguments.items() if k in declared}, path)

    def _check_constants(self, tool: AnyTool, arguments: Mapping[str, Value], path: Path) -> None:
        constants: JsonObject = {k: v.raw for k, v in arguments.items() if v.is_constant}
        partly = {k: v for k, v in arguments.items() if not v.is_constant and not _is_text(v)}
        is_whole = len(constants) == len(arguments)
        try:
            tool.params.model_validate(constants | {k: v.raw for k, v in partly.items()})
        except ValidationError as error:
            for details in error.errors(include_url=False):
                where = details["loc"]
                if details["type"] == "missing" and len(where) == 1:
                    continue  # an expression, or reported above
                if not where and not is_whole:
                    continue  # about several arguments, some of which are not known yet
                if where and self._is_open(partly.get(str(where[0])), where[1:]):
                    continue
                at = (*path, *self._known_steps(path, where))
                self._findings.error(at, f"wrong argument of `{tool.name}`: {words(details)}")

    def _is_open(self, value: Value | None, where: tuple[int | str, ...]) -> bool:
        """Whether what is wrong depends on an expression inside a value."""
        if value is None:
            return False
        return any(
            leaf.path[: len(where)] == where or where[: len(leaf.path)] == leaf.path
            for leaf in value.leaves
        )

    def _known_steps(self, path: Path, where: tuple[int | str, ...]) -> Path:
        """Pydantic's location as far as the template has it."""
        steps: Path = ()
        for step in where:
            if (*path, *steps, step) not in self._findings.document.values:
                break
            steps = (*steps, step)
        return steps


def _is_text(value: Value) -> bool:
    return isinstance(value.raw, str)


def parameters(params: type[BaseModel]) -> dict[str, bool]:
    """The arguments a tool takes, by the name they are written with, and whether it needs them."""
    fields = params.model_fields.items()
    return {field.alias or name: field.is_required() for name, field in fields}

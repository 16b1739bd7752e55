"""Checks connections: declared, of the type the tool needs, and used only where they are bound."""

from treadle.agents.language.findings import Findings, did_you_mean_or
from treadle.agents.language.model import Template
from treadle.agents.nodes.fields import Path
from treadle.integrations.registry import AnyTool


class ConnectionCheck:
    """Checks the connections of one template."""

    def __init__(self, template: Template, findings: Findings) -> None:
        self._declared = template.connections
        self._findings = findings
        self._used: set[str] = set()

    def check_use(
        self, tool: AnyTool, name: str | None, path: Path, guards: frozenset[str]
    ) -> None:
        """Check one use of a tool; `path` leads to the mapping that has `connection`."""
        if name is None:
            if tool.connection is not None and not tool.connection_optional:
                self._report_lack(tool, tool.connection, path)
            return
        self._used.add(name)
        at = (*path, "connection")
        if tool.connection is None:
            self._findings.error(at, f"`{tool.name}` takes no connection", "Remove the key.")
            return
        self.check_name(name, at)
        need = self._declared.get(name)
        if need is None:
            return
        if need.type != tool.connection:
            message = f"`{tool.name}` needs a connection of type {tool.connection}"
            self._findings.error(at, f"{message}, `{name}` has type {need.type}")
        if need.optional and name not in guards:
            message = f"the optional connection `{name}` is used without a guard"
            self._findings.error(at, message, f"Add `when: connections.{name}` to the node.")

    def check_name(self, name: str, path: Path) -> None:
        """Report a name that is not declared; count it as used."""
        self._used.add(name)
        if name not in self._declared:
            hint = did_you_mean_or(name, self._declared, what="Declared")
            self._findings.error(path, f"unknown connection `{name}`", hint)

    def check_unused(self) -> None:
        """Warn about declared connections that no node uses."""
        for name in self._declared.keys() - self._used:
            spot = self._findings.document.key_spot(("connections", name))
            message = f"no node uses the connection `{name}`"
            self._findings.warning(("connections", name), message, spot=spot)

    def _report_lack(self, tool: AnyTool, kind: str, path: Path) -> None:
        fitting = [name for name, need in self._declared.items() if need.type == kind]
        hint = f"Declare one under `connections`: `{kind}: {{type: {kind}}}`."
        if fitting:
            hint = f"Add `connection: {fitting[0]}`."
        message = f"`{tool.name}` needs a connection of type {kind}"
        self._findings.error(
            (*path, "connection"), message, hint, spot=self._findings.document.spot(path)
        )

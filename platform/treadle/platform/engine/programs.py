"""Compiled templates, kept by the digest of their text: reading one costs more than running it."""

from collections import OrderedDict
from dataclasses import dataclass

from treadle.agents.interpreter import Graph, compile_graph
from treadle.agents.language import Template, parse_template
from treadle.integrations.registry import all_tools

MOST_PROGRAMS = 512


@dataclass(frozen=True, slots=True)
class Program:
    """A template, ready to run."""

    sha256: bytes
    template: Template
    graph: Graph


class Programs:
    """The programs of this process. The same text is the same program, whoever sent it."""

    def __init__(self) -> None:
        self._programs: OrderedDict[bytes, Program] = OrderedDict()

    def get(self, sha256: bytes) -> Program | None:
        """A program that was read before."""
        program = self._programs.get(sha256)
        if program is not None:
            self._programs.move_to_end(sha256)
        return program

    def read(self, sha256: bytes, text: str) -> Program:
        """Read a stored text; raises `TemplateInvalid`, `NodeTypeNotRunnable`."""
        return self.get(sha256) or self.compile(
            sha256, parse_template(text, tools=all_tools()).template
        )

    def compile(self, sha256: bytes, template: Template) -> Program:
        """Compile a template that was checked; raises `NodeTypeNotRunnable`."""
        known = self.get(sha256)
        if known is not None:
            return known
        program = Program(sha256, template, compile_graph(template, all_tools()))
        self._programs[sha256] = program
        if len(self._programs) > MOST_PROGRAMS:
            self._programs.popitem(last=False)
        return program

"""Compiled templates, kept by the digest of their text: reading one costs more than running it."""

from collections import OrderedDict
from dataclasses import dataclass

from treadle.agents.errors import TemplateInvalid
from treadle.agents.interpreter import Graph, compile_graph
from treadle.agents.language.findings import Findings
from treadle.agents.language.loading import load
from treadle.agents.language.model import Template
from treadle.agents.language.parser import parse
from treadle.integrations.registry import all_tools

MOST_PROGRAMS = 512


@dataclass(frozen=True, slots=True)
class Program:
    """A template, ready to run."""

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
        """Read a template's text; raises `TemplateInvalid`."""
        known = self.get(sha256)
        if known is not None:
            return known
        findings = Findings(load(text))
        template = parse(findings)
        if template is None or any(issue.severity == "error" for issue in findings.issues):
            raise TemplateInvalid(findings.issues)
        program = Program(template, compile_graph(template, all_tools()))
        self._programs[sha256] = program
        if len(self._programs) > MOST_PROGRAMS:
            self._programs.popitem(last=False)
        return program

"""The numbers of one process as JSON, and those of many as Prometheus reads them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from prometheus_client import CollectorRegistry

Sample: TypeAlias = tuple[str, dict[str, str], float]


@dataclass(frozen=True, slots=True)
class Family:
    """All samples of one metric in one process."""

    name: str
    kind: str
    help: str
    samples: list[Sample] = field(default_factory=list[Sample])


def take_snapshot(registry: CollectorRegistry) -> list[Family]:
    """Every number of a registry now, but the times when series began."""
    return [
        Family(
            found.name,
            found.type,
            found.documentation,
            [
                (one.name, dict(one.labels), one.value)
                for one in found.samples
                if not one.name.endswith("_created")
            ],
        )
        for found in registry.collect()
    ]


def write_snapshot(families: list[Family]) -> str:
    """Families as JSON."""
    return json.dumps([[f.name, f.kind, f.help, f.samples] for f in families])


def read_snapshot(text: str) -> list[Family]:
    """Read what `write_snapshot` wrote."""
    return [
        Family(name, kind, described, [(n, labels, value) for n, labels, value in samples])
        for name, kind, described, samples in json.loads(text)
    ]


def render(processes: Mapping[str, list[Family]]) -> str:
    """The text format; the label `process` says whose a sample is, the empty name is nobody's."""
    heads: dict[str, str] = {}
    lines: dict[str, list[str]] = {}
    for process, families in processes.items():
        for family in families:
            shown = f"{family.name}_total" if family.kind == "counter" else family.name
            described = _escape(family.help, quotes=False)
            heads.setdefault(shown, f"# HELP {shown} {described}\n# TYPE {shown} {family.kind}")
            lines.setdefault(shown, []).extend(_line(one, process) for one in family.samples)
    return "".join(f"{heads[name]}\n{''.join(lines[name])}" for name in heads)


def _line(sample: Sample, process: str) -> str:
    name, labels, value = sample
    named = {**labels, "process": process} if process else labels
    shown = ",".join(f'{key}="{_escape(one)}"' for key, one in named.items())
    place = f"{name}{{{shown}}}" if shown else name
    return f"{place} {_number(value)}\n"


def _number(value: float) -> str:
    special = {float("inf"): "+Inf", float("-inf"): "-Inf"}
    return special.get(value) or repr(value).replace("nan", "NaN")


def _escape(text: str, *, quotes: bool = True) -> str:
    plain = text.replace("\\", r"\\").replace("\n", r"\n")
    return plain.replace('"', r"\"") if quotes else plain

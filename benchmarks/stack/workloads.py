"""What is run: templates by name. Retry, budget and history stay at their defaults."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Workload:
    """A template, what it is called in tables, and at how many connections it is measured."""

    name: str
    title: str
    template: str
    connections: tuple[int, ...]
    effects: int = 0
    least_s: float = 0.0
    """For how long it is measured at least, where a run takes seconds; half of it to warm up."""


def _head(name: str) -> list[str]:
    return [
        "treadle: 1",
        f"name: {name}",
        "version: 1.0.0",
        "inputs:",
        "  run: {type: string}",
        "  n: {type: integer}",
        "nodes:",
    ]


def pure(count: int) -> str:
    """`set` nodes in a row, each one more than the one before."""
    lines = _head(f"pure-{count}")
    lines.append("  n0: {use: set, with: {n: '${{ inputs.n + 1 }}'}}")
    for i in range(1, count):
        lines.append(f"  n{i}: {{use: set, with: {{n: '${{{{ n{i - 1}.n + 1 }}}}'}}}}")
    lines += ["outputs:", f"  n: ${{{{ n{count - 1}.n }}}}", ""]
    return "\n".join(lines)


def effects(count: int) -> str:
    """Calls of a tool in a row that works in the worker's own process."""
    lines = _head(f"effects-{count}")
    lines.append("  e0: {use: seo.normalize, with: {keywords: ['${{ inputs.run }}']}}")
    lines += [
        f"  e{i}: {{use: seo.normalize, with: {{keywords: '${{{{ e{i - 1}.keywords }}}}'}}}}"
        for i in range(1, count)
    ]
    lines += ["outputs:", f"  keywords: ${{{{ e{count - 1}.keywords }}}}", ""]
    return "\n".join(lines)


def calls(count: int) -> str:
    """Model calls in a row."""
    lines = _head(f"calls-{count}")
    for i in range(count):
        needs = f", needs: [c{i - 1}]" if i else ""
        prompt = f"'run ${{{{ inputs.run }}}} step {i}'"
        lines.append(f"  c{i}: {{use: llm, with: {{prompt: {prompt}}}{needs}}}")
    lines += ["outputs:", f"  text: ${{{{ c{count - 1} }}}}", ""]
    return "\n".join(lines)


def fan(count: int, node: str, output: str, *, name: str) -> str:
    """A map of so many items, all at once."""
    lines = _head(name)
    items = ", ".join(str(i) for i in range(count))
    lines += [
        "  each:",
        "    use: map",
        f"    over: ${{{{ [{items}] }}}}",
        "    as: item",
        f"    concurrency: {count}",
        f"    nodes: {{one: {node}}}",
        f"    output: {output}",
        "outputs:",
        "  count: ${{ each | length }}",
        "",
    ]
    return "\n".join(lines)


_EFFECT = "{use: seo.normalize, with: {keywords: ['k${{ item }}']}}"
_SLOW = "{use: llm, with: {model: slow, prompt: 'item ${{ item }} of ${{ inputs.run }}'}}"

NOOP = Workload("noop", "no-op (one set)", pure(1), (1, 8, 32))
WORKLOADS = (
    NOOP,
    Workload("pure-10", "ten pure nodes", pure(10), (1, 32)),
    Workload("pure-50", "fifty pure nodes", pure(50), (32,)),
    Workload("effects-1", "one effect", effects(1), (1, 32), effects=1),
    Workload("effects-3", "three effects in a row", effects(3), (1, 32), effects=3),
    Workload("effects-10", "ten effects in a row", effects(10), (1, 32), effects=10),
    Workload("effects-50", "fifty effects in a row", effects(50), (32,), effects=50),
    Workload(
        "map-100",
        "map of 100 effects",
        fan(100, _EFFECT, "${{ one.keywords }}", name="map-100"),
        (1, 8),
        effects=100,
        least_s=10.0,
    ),
    Workload("llm-3", "three model calls in a row", calls(3), (1, 32), effects=3),
    Workload(
        "fan-20",
        "twenty 100 ms calls at once",
        fan(20, _SLOW, "${{ one }}", name="fan-20"),
        (1, 8),
        effects=20,
    ),
)

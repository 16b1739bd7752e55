"""How long it takes to check and to compile a template of 50 and of 500 nodes.

Best of several runs, in one process, after the tools are imported. A template is read once per
version and process, so this is what the first run of a version waits for.
"""

import json
import time
from collections.abc import Callable

from treadle.agents.interpreter import compile_graph
from treadle.agents.language import check_template, parse_template
from treadle.integrations.registry import all_tools

ROUNDS = 5
SIZES = (50, 500)


def template_of(size: int) -> str:
    """Pages in maps, tools and prompts that read what came before, as real templates do."""
    lines = ["treadle: 1", "name: large", "version: 1.0.0", "inputs:", "  seeds: {type: array}"]
    lines += ["defaults: {timeout: 1m}", "nodes:"]
    for number in range(0, size, 5):
        before = f"plan_{number - 5}.markdown" if number else "inputs.seeds | join(', ')"
        lines += [
            f"  ask_{number}:",
            "    use: llm",
            f'    with: {{prompt: "Queries about ${{{{ {before} }}}}", schema: {{type: array}}}}',
            f"  many_{number}:",
            "    use: map",
            f"    over: ${{{{ ask_{number}[:20] }}}}",
            "    nodes:",
            f'      hits_{number}: {{use: web.search, with: {{query: "${{{{ item }}}}"}}}}',
            f'    output: "${{{{ hits_{number}.results }}}}"',
            f'  rows_{number}: {{use: set, with: "${{{{ many_{number} | flatten }}}}"}}',
            f"  plan_{number}:",
            "    use: seo.plan",
            f'    with: {{title: Plan {number}, rows: "${{{{ rows_{number} }}}}"}}',
        ]
    lines += ["outputs:", f'  plan: "${{{{ plan_{size - 5}.markdown }}}}"']
    return "\n".join(lines)


def best_ms(work: Callable[[], object]) -> float:
    """Milliseconds of the fastest round."""
    times: list[float] = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times) * 1000


def main() -> None:
    """Print one line of JSON per size."""
    tools = all_tools()
    for size in SIZES:
        text = template_of(size)
        errors = [one for one in check_template(text, tools=tools) if one.severity == "error"]
        if errors:
            raise SystemExit(f"the benchmark's template is wrong: {errors[0]}")
        template = parse_template(text, tools=tools).template
        print(
            json.dumps(
                {
                    "nodes": size,
                    "bytes": len(text),
                    "lint_ms": round(best_ms(lambda t=text: check_template(t, tools=tools)), 1),
                    "compile_ms": round(best_ms(lambda t=template: compile_graph(t, tools)), 1),
                }
            )
        )


if __name__ == "__main__":
    main()

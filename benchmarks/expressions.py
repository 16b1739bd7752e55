"""Expressions: ours beside Jinja2's sandbox and cel-expr-python, same templates, same run.

Usage: python benchmarks/expressions.py [--json FILE]

Target: a five-variable prompt in at most 7 µs, or a third of Jinja's sandbox. CEL has no text
templates, so its prompt is a concatenation; the package is optional: `pip install cel-expr-python`.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from jinja2.sandbox import SandboxedEnvironment

from treadle.agents.expressions import compile_expression, compile_value
from treadle.agents.values import JsonValue

SCOPE: dict[str, JsonValue] = {
    "inputs": {"topic": "espresso grinders", "tone": "plain", "locale": "en-US", "n": 7},
    "plan": {"title": "Ten grinders", "rows": [{"k": f"word {i}", "v": i} for i in range(20)]},
    "run": {"name": "blog", "id": "run_1"},
}
PROMPT = (
    "Write about OPENinputs.topicCLOSE in a OPENinputs.toneCLOSE tone for OPENinputs.localeCLOSE.\n"
    "Title: OPENplan.titleCLOSE. Sections: OPENinputs.nCLOSE."
)
CASES = {
    "path": ("inputs.topic", "inputs.topic", "inputs.topic"),
    "condition": (
        "inputs.n > 3 and inputs.locale == 'en-US' and plan.title != ''",
        "inputs.n > 3 and inputs.locale == 'en-US' and plan.title != ''",
        "inputs.n > 3 && inputs.locale == 'en-US' && plan.title != ''",
    ),
    "20 rows": (
        "plan.rows | where('v', 9) | map('k')",
        "plan.rows | selectattr('v', 'equalto', 9) | map(attribute='k') | list",
        "plan.rows.filter(r, r.v == 9).map(r, r.k)",
    ),
}
CEL_PROMPT = (
    "'Write about ' + inputs.topic + ' in a ' + inputs.tone + ' tone for ' + inputs.locale"
    " + '.\\nTitle: ' + plan.title + '. Sections: ' + string(inputs.n) + '.'"
)


def microseconds(call: Callable[[], object], *, rounds: int = 7, number: int = 3_000) -> float:
    """Median µs of processor time per call over the rounds: what else runs here does not count."""
    call()
    spent: list[float] = []
    for _ in range(rounds):
        started = time.process_time()
        for _ in range(number):
            call()
        spent.append((time.process_time() - started) / number * 1e6)
    return statistics.median(spent)


def ours() -> dict[str, Callable[[], object]]:
    """Ours, by case."""
    prompt = compile_value(PROMPT.replace("OPEN", "${{ ").replace("CLOSE", " }}"))
    compiled = {name: compile_expression(sources[0]) for name, sources in CASES.items()}
    calls: dict[str, Callable[[], object]] = {"prompt": lambda: prompt.evaluate(SCOPE)}
    for name, expression in compiled.items():
        calls[name] = lambda expression=expression: expression.evaluate(SCOPE)
    return calls


def jinja() -> dict[str, Callable[[], object]]:
    """Jinja2's sandbox, by case."""
    sandbox = SandboxedEnvironment()
    prompt = sandbox.from_string(PROMPT.replace("OPEN", "{{ ").replace("CLOSE", " }}"))
    calls: dict[str, Callable[[], object]] = {"prompt": lambda: prompt.render(SCOPE)}
    for name, sources in CASES.items():
        expression = sandbox.compile_expression(sources[1])
        calls[name] = lambda expression=expression: expression(SCOPE)
    return calls


def cel() -> dict[str, Callable[[], object]]:
    """cel-expr-python, by case; empty where the package is missing."""
    try:
        from cel_expr_python import cel as module  # noqa: PLC0415 - optional peer
    except ImportError:
        return {}
    types = dict.fromkeys(SCOPE, module.Type.DYN)
    environment = module.NewEnv(variables=types)
    sources = {"prompt": CEL_PROMPT, **{name: case[2] for name, case in CASES.items()}}
    calls: dict[str, Callable[[], object]] = {}
    for name, source in sources.items():
        program = environment.compile(source)
        calls[name] = lambda program=program: program.eval(data=SCOPE)
    return calls


def require_equal_results(peers: dict[str, dict[str, Callable[[], object]]]) -> None:
    """A comparison counts only if all compute the same."""
    for name, call in peers["ours"].items():
        for peer, calls in peers.items():
            if name in calls:
                result = calls[name]()
                plain = result.plain_value() if hasattr(result, "plain_value") else result
                if plain != call():
                    raise SystemExit(f"{peer} computes something else for {name!r}: {plain!r}")


def main() -> int:
    """Print the table; exit 1 if the target is missed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--json", type=Path)
    chosen = options.parse_args()
    peers = {"ours": ours(), "jinja sandbox": jinja(), "cel": cel()}
    require_equal_results(peers)
    table = {
        peer: {name: microseconds(call) for name, call in calls.items()}
        for peer, calls in peers.items()
    }
    print(f"{'µs per evaluation':<18}" + "".join(f"{name:>12}" for name in ["prompt", *CASES]))
    for peer, row in table.items():
        cells = "".join(
            f"{row[name]:>12.2f}" if name in row else f"{'-':>12}" for name in ["prompt", *CASES]
        )
        print(f"{peer:<18}{cells}")
    ratio = table["ours"]["prompt"] / table["jinja sandbox"]["prompt"]
    met = table["ours"]["prompt"] <= 7 or ratio <= 1 / 3
    verdict = "met" if met else "MISSED"
    print(f"prompt: {ratio:.2f} of Jinja's sandbox; target {verdict}")
    if chosen.json:
        chosen.json.write_text(json.dumps(table, indent=2), encoding="utf-8")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())

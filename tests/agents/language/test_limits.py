"""Templates written to be slow are answered all the same."""

import json
import time
from collections.abc import Mapping
from typing import Any

import pytest

from treadle.agents.language import check_template
from treadle.agents.values import JsonValue
from treadle.integrations.registry import AnyTool

HEAD: dict[str, Any] = {"treadle": 1, "name": "slow", "version": "1.0.0"}
SET: dict[str, Any] = {"a": {"use": "set", "with": 1}}


def ask(schema: str) -> dict[str, Any]:  # Any: JSON written by hand
    reference = {"$ref": f"#/schemas/{schema}"}
    return {
        "b": {"use": "llm", "with": {"prompt": "x", "schema": reference}},
        "c": {"use": "set", "with": "${{ b.x }}"},
    }


def twice(schema: str) -> dict[str, Any]:  # Any: as above
    return {"anyOf": [{"$ref": f"#/schemas/{schema}"}] * 2}


def chain(count: int) -> dict[str, JsonValue]:
    nodes: dict[str, JsonValue] = {"n0": {"use": "set", "with": {"a": 1}}}
    for i in range(1, count):
        old = f"${{{{ n{i - 1} }}}}"
        nodes[f"n{i}"] = {"use": "set", "with": old, "when": "1 < 2", "else": old}
    nodes["last"] = {"use": "set", "with": f"${{{{ n{count - 1}.b }}}}"}
    return nodes


SLOW: dict[str, dict[str, Any]] = {  # Any: JSON written by hand
    "doubling shapes": {"nodes": chain(400)},
    "doubling schemas": {
        "nodes": ask("s0"),
        "inputs": {"i": {"$ref": "#/schemas/s0", "default": 1}},
        "schemas": {**{f"s{i}": twice(f"s{i + 1}") for i in range(40)}, "s40": {"type": "string"}},
    },
    "unions of themselves": {"nodes": ask("s"), "schemas": {"s": twice("s")}},
    "a wide allOf over a long default": {
        "nodes": SET,
        "inputs": {"i": {"items": {"allOf": [{}] * 5_000}, "default": [1] * 5_000}},
    },
    "thousands of unknown names": {
        "nodes": {f"n{i}": {"use": "set", "with": f"${{{{ m{i} }}}}"} for i in range(3_000)},
    },
    "thousands of cases": {
        "nodes": {"a": {"use": "switch", "cases": [{"when": "true", "output": 1}] * 4_000}},
    },
    "too many expressions": {
        "nodes": {"a": {"use": "set", "with": ["${{ inputs.x }}"] * 10_000}},
    },
    "long expressions": {
        "nodes": {"a": {"use": "set", "with": ["${{ 1" + " + 1" * 3_000 + " }}"] * 20}},
    },
    "long conditions": {
        "nodes": {f"n{i}": {"use": "set", "when": "1" + " + 1" * 1_000, "with": 1}
                  for i in range(50)},
    },
    "thousands of schemas": {
        "nodes": SET,
        "inputs": {f"i{i}": {"type": "array", "items": {"type": "string"}} for i in range(3_000)},
    },
    "hundreds of agents with many tools": {
        "nodes": {f"n{i}": {"use": "agent", "with": {"prompt": "x", "tools": ["web.search"] * 20}}
                  for i in range(399)},
        "outputs": {"x": "${{ y }}"},
    },
    "a long cycle": {
        "nodes": {f"n{i}": {"use": "set", "with": f"${{{{ n{(i + 1) % 2_000} }}}}"}
                  for i in range(2_000)},
    },
}  # fmt: skip


def yardstick_s() -> float:
    """What a million small steps of Python take here and now: 0.05 s on a machine of its own."""
    started = time.process_time()
    for step in range(1_000_000):
        _ = step * step
    return time.process_time() - started


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_it_is_refused_in_seconds(name: str, tools: Mapping[str, AnyTool]) -> None:
    text = json.dumps(HEAD | SLOW[name])
    started = time.process_time()
    issues = check_template(text, tools=tools)
    spent_s = time.process_time() - started
    assert issues
    assert all(len(issue.message) < 1_000 for issue in issues)
    assert spent_s < max(3.0, 60 * yardstick_s())  # half a second on a machine of its own


def test_a_template_of_500_nodes_is_checked_soon(
    tools: Mapping[str, AnyTool],
) -> None:
    nodes = {f"n{i}": {"use": "llm", "with": {"prompt": f"Go on: ${{{{ n{i - 1} }}}}"}}
             for i in range(1, 500)}  # fmt: skip
    text = json.dumps({
        **HEAD, "nodes": {"n0": {"use": "set", "with": 1}, **nodes},
        "outputs": {"all": "${{ n499 }}"},
    })  # fmt: skip
    started = time.process_time()
    assert check_template(text, tools=tools) == []
    spent_s = time.process_time() - started
    assert spent_s < max(2.0, 50 * yardstick_s())  # 0.3 s on a machine of its own

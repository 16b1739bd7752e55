"""References make edges."""

from collections.abc import Mapping

import pytest

from treadle.agents.language import parse_template
from treadle.agents.language.graph import dependencies, find_cycles, topological_order
from treadle.integrations.registry import AnyTool


def test_the_edges_of_the_example(example: str, tools: Mapping[str, AnyTool]) -> None:
    template = parse_template(example, tools=tools).template
    assert dependencies(template.nodes) == {
        "expand": (), "suggest": (), "merge": ("expand", "suggest"), "serp": ("merge",),
        "refine": ("serp",), "deliver": ("refine",),
    }  # fmt: skip


def test_every_kind_of_reading_is_an_edge(tools: Mapping[str, AnyTool]) -> None:
    text = """
treadle: 1
name: sample
version: 1.0.0
nodes:
  z: {use: set, with: 1, when: nodes.d.status == 'succeeded'}
  a: {use: set, with: 1}
  b: {use: set, with: 1, needs: [a]}
  c: {use: set, with: 1, when: 1 < 2, else: "${{ b }}"}
  d: {use: map, over: [1], nodes: {x: {use: set, with: "${{ c }}"}}, output: "${{ x }}"}
  e: {use: web.search, with: {query: "x"}, on_error: {value: "${{ z }}"}}
outputs: {e: "${{ e }}"}
"""
    nodes = parse_template(text, tools=tools).template.nodes
    edges = dependencies(nodes)
    assert edges == {"z": ("d",), "a": (), "b": ("a",), "c": ("b",), "d": ("c",), "e": ("z",)}
    assert topological_order(edges) == ["a", "b", "c", "d", "z", "e"]


def test_the_order_is_that_of_the_text_where_edges_allow() -> None:
    assert topological_order({"b": (), "a": (), "c": ("a",)}) == ["b", "a", "c"]


def test_a_cycle_has_no_order() -> None:
    edges = {"a": ("b",), "b": ("a",), "c": ("c",), "d": ()}
    assert find_cycles(edges) == [["a", "b", "a"], ["c", "c"]]
    with pytest.raises(ValueError, match="a, b, c"):
        topological_order(edges)


def test_a_chain_of_thousands_needs_no_recursion() -> None:
    chain = {f"n{i}": (f"n{i + 1}",) if i < 5_000 else () for i in range(5_001)}
    assert topological_order(chain)[0] == "n5000"
    assert find_cycles(chain) == []

"""Mutated templates: whatever is sent, lint answers, and soon; what it lets pass compiles."""

import copy
import json
import random
import string
import time
from collections.abc import Iterable, Iterator, Mapping

import pytest

from treadle.agents.errors import Issue, TemplateInvalid
from treadle.agents.interpreter import NodeTypeNotRunnable, compile_graph
from treadle.agents.language import check_template, parse_template
from treadle.agents.language.loading import load
from treadle.agents.values import JsonValue
from treadle.integrations.registry import AnyTool

LONGEST_S = 0.5
SEED = 20_261_125
SHARE = 10  # 100,000 cases are 20,000 templates, half of them trees
_KEYS = [
    "use",
    "with",
    "when",
    "else",
    "needs",
    "nodes",
    "output",
    "state",
    "next",
    "until",
    "over",
    "as",
    "cases",
    "retry",
    "timeout",
    "schema",
    "tools",
    "$ref",
    "items",
    "x",
]
_VALUES: list[JsonValue] = [
    None, True, 0, -1, 2**62, 1.5, "", "a", "${{ serp }}", "${{ nodes }}", "${{ nodes.plan }}",
    "${{ loop.index }}", "expand", "#/schemas/keyword_list", "llm", "agent", "set", "map", "loop",
    "switch", "wait", "approval", "template:other@^1", "knowledge.search", "chat.reply", "1h", [],
    {}, [[]], [{}], {"$ref": "#/schemas/keyword_list"}, {"use": "set", "with": "${{ merge }}"},
    {"use": "agent", "with": {"prompt": "x", "tools": ["web.search", {"use": "seo.plan"}]}},
    {"use": "schedule", "cron": "* * *"}, {"allOf": [{"$ref": "#"}]}, {"pattern": "(a*)*$"},
]  # fmt: skip
_WORDS = [
    "${{", "}}", "${%", "%}", "{{", ": ", "- ", "\n", "\n  ", "[", "]", "{", "}", "&a ", "*a",
    "!!python/object:os.system ", "null", "true", "1e400", "-0", "0x1f",
    "999999999999999999999999999999", "~", "'", '"', "|", ">", "\t", "\x00", "\ud800", "é",
    "\u2028", "#", "$ref: '#/schemas/keyword_list'", "use: map", "use: loop", "use: switch",
    "use: llm", "nodes: {}", "when: ", "else: ", "with: ", "output: ", "serp", "expand",
    "inputs.seeds", "state.note", "nodes.serp.status", "| default('')", " if ",
    "pattern: '(a+)+$'", "type: [string, 'null']", "default: {}", "\u202e", "<<: ",
    "%YAML 1.1\n---\n", "...\n", "? ",
]  # fmt: skip


def mutated(text: str, chance: random.Random) -> str:
    """A template with a few random changes: characters, lines, words, copies."""
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(text) + 1)
        match chance.randrange(7):
            case 0:
                text = text[:at] + chance.choice(_WORDS) + text[at:]
            case 1:
                text = text[:at] + text[at + chance.randint(1, 20) :]
            case 2:
                text = text[:at] + chance.choice(string.printable) + text[at + 1 :]
            case 3:
                text = _with_lines(text, chance)
            case 4:
                other = chance.randrange(len(text) + 1)
                text = text[:at] + text[other : other + chance.randint(1, 60)] + text[at:]
            case 5:
                words = text.split(" ")
                words[chance.randrange(len(words))] = chance.choice(_WORDS)
                text = " ".join(words)
            case _:
                text = text.replace(chance.choice(_WORDS), chance.choice(_WORDS), 1)
    return text


def mutated_tree(tree: JsonValue, chance: random.Random) -> JsonValue:
    """A template's tree with a few values exchanged, renamed, doubled or removed."""
    changed = copy.deepcopy(tree)
    for _ in range(chance.randint(1, 4)):
        holders = list(_holders(changed))
        holder = chance.choice(holders)
        donor = chance.choice(holders)
        given = chance.choice([*_VALUES, *_children(donor), *_children(chance.choice(holders))])
        given = copy.deepcopy(given)
        if isinstance(holder, list):
            holder.insert(chance.randrange(len(holder) + 1), given)
        else:
            key = chance.choice([*holder, *_KEYS])
            holder.pop(chance.choice([*holder, ""]), None) if chance.random() < 0.3 else None
            holder[key] = given
    return changed


def _holders(tree: JsonValue) -> Iterator["list[JsonValue] | dict[str, JsonValue]"]:
    if isinstance(tree, dict | list):
        yield tree
        for child in _children(tree):
            yield from _holders(child)


def _children(holder: "list[JsonValue] | dict[str, JsonValue]") -> list[JsonValue]:
    return list(holder.values()) if isinstance(holder, dict) else list(holder)


def _with_lines(text: str, chance: random.Random) -> str:
    """Two lines swapped, or one indented differently."""
    lines = text.split("\n")
    first, second = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    lines[first] = " " * chance.randrange(8) + lines[first].lstrip()
    return "\n".join(lines)


@pytest.mark.slow
def test_no_mutation_crashes_or_hangs(
    example: str, tools: Mapping[str, AnyTool], fuzz_cases: int
) -> None:
    chance = random.Random(SEED)
    texts = (mutated(example, chance) for _ in range(fuzz_cases // SHARE))
    assert refused(texts, tools) > fuzz_cases // SHARE // 2


@pytest.mark.slow
def test_no_mutated_tree_crashes_or_hangs(
    example: str, tools: Mapping[str, AnyTool], fuzz_cases: int
) -> None:
    chance = random.Random(SEED)
    tree = load(example).content
    texts = (json.dumps(mutated_tree(tree, chance)) for _ in range(fuzz_cases // SHARE))
    assert refused(texts, tools) > fuzz_cases // SHARE // 2


def timed(text: str, tools: Mapping[str, AnyTool]) -> tuple[list[Issue], float]:
    """What is wrong with a text, and the seconds of CPU that it took to say so."""
    started = time.process_time()
    issues = check_template(text, tools=tools)
    return issues, time.process_time() - started


def refused(texts: Iterable[str], tools: Mapping[str, AnyTool]) -> int:
    """How many were refused; each one in time, and with messages."""
    count = 0
    for number, text in enumerate(texts):
        issues, spent = timed(text, tools)
        if spent >= LONGEST_S:  # a crowded machine may stand still for once, a hang comes again
            issues, spent = timed(text, tools)
        assert spent < LONGEST_S, (number, spent, text)
        assert all(issue.message and issue.line for issue in issues), (number, text)
        is_refused = any(issue.severity == "error" for issue in issues)
        count += is_refused
        if not is_refused:
            assert_compiles(text, tools)
    return count


def assert_compiles(text: str, tools: Mapping[str, AnyTool]) -> None:
    """What lint lets pass becomes a graph, in time; nothing else may be raised."""
    try:
        template = parse_template(text, tools=tools).template
    except TemplateInvalid as error:
        raise AssertionError(f"lint let it pass: {text}") from error
    started = time.process_time()
    try:
        graph = compile_graph(template, tools)
    except NodeTypeNotRunnable:
        return
    assert time.process_time() - started < LONGEST_S, text
    assert {node.id for node in graph.body.nodes} == set(template.nodes)

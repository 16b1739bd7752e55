"""What expressions mean: types kept, strict names, the closed lists, the exact messages."""

import pytest

from treadle.agents.errors import ExpressionError
from treadle.agents.expressions import compile_expression, compile_value
from treadle.agents.values import JsonValue

SCOPE: dict[str, JsonValue] = {
    "inputs": {"seeds": ["crm", "erp"], "n": 3, "note": None, "locale": "en-US", "flag": True},
    "rows": [
        {"k": "b", "score": 2, "tags": ["x"]},
        {"k": "a", "score": 1.5, "tags": []},
        {"k": "c", "score": None, "tags": ["x", "y"]},
    ],
    "left": {"keywords": ["a"]},
    "right": {"keywords": ["b", "a"]},
    "when": "2026-11-25T09:30:00+01:00",
}


def ev(source: str) -> JsonValue:
    return compile_expression(source).evaluate(SCOPE)


def text(source: str) -> JsonValue:
    return compile_value(source).evaluate(SCOPE)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("inputs.seeds", ["crm", "erp"]),
        ("inputs['seeds'][0]", "crm"),
        ("inputs.seeds[-1]", "erp"),
        ("inputs.seeds[0:1]", ["crm"]),
        ("'hello'[1:3]", "el"),
        ("1 + 2 * 3 - 4 / 2", 5.0),
        ("7 // 2", 3),
        ("-7 % 3", 2),
        ("-inputs.n", -3),
        ("left.keywords + right.keywords", ["a", "b", "a"]),
        ("'a' ~ 1 ~ true ~ none ~ [1, 'x']", 'a1true[1,"x"]'),
        ("inputs.n == 3.0", True),
        ("inputs.flag == 1", False),
        ("[1, {'a': true}] == [1, {'a': 1}]", False),
        ("[1, {'a': [none]}] == 1", False),
        ("'b' > 'a' and 2 >= 2", True),
        ("'r' in 'crm' and 'crm' in inputs.seeds and 'n' in inputs", True),
        ("'x' not in inputs.seeds", True),
        ("'yes' if inputs.flag else 'no'", "yes"),
        ("'yes' if not inputs.flag", None),
        ("inputs.note or 'none'", "none"),
        ("{'a': inputs.n, 'b': [1, (2, 3)]}", {"a": 3, "b": [1, [2, 3]]}),
        ("inputs.note is none and inputs.n is number and inputs.flag is boolean", True),
        ("inputs.nothing is defined or inputs.seeds is undefined", False),
        ("inputs.note.deep.deeper | default('d')", "d"),
        ("inputs.note | default('d')", "d"),
        ("missing | default([])", []),
        ("rows[9].k | default('none')", "none"),
    ],
)
def test_an_expression_has_this_value(source: str, expected: JsonValue) -> None:
    result = ev(source)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("rows | length", 3),
        ("inputs.seeds | join(', ')", "crm, erp"),
        ("rows | join('-', 'k')", "b-a-c"),
        ("rows | map('k')", ["b", "a", "c"]),
        ("[{'a': {'b': 1}}, {}] | map('a.b', 0)", [1, 0]),
        ("rows | where('k', 'a') | map('score')", [1.5]),
        ("rows | where('score') | length", 2),
        ("rows | sort('score') | map('k')", ["a", "b", "c"]),
        ("rows | sort('k', reverse=true) | map('k')", ["c", "b", "a"]),
        ("[3, 1, 2] | sort", [1, 2, 3]),
        ("[] | first", None),
        ("'abc' | last", "c"),
        ("[1, 1.0, true, 'a', 'a', [1], [1]] | unique", [1, True, "a", [1]]),
        ("rows | group('tags') | map('key')", [["x"], [], ["x", "y"]]),
        ("[1, 2.5] | sum", 3.5),
        ("rows[0:2] | sum('score')", 3.5),
        ("[[1, [2]], 3] | flatten", [1, [2], 3]),
        ("[3, 1] | min", 1),
        ("rows | max('score')", {"k": "b", "score": 2, "tags": ["x"]}),
        ("{'a': 1} | merge({'b': 2})", {"a": 1, "b": 2}),
        ("{'a': 1} | items", [["a", 1]]),
        ("{'a': 1} | keys + ({'a': 1} | values)", ["a", 1]),
        ("3.7 | round", 4),
        ("3.14159 | round(2)", 3.14),
        ("-3 | abs", 3),
        ("'42' | int", 42),
        ("'x' | int(0)", 0),
        ("'1.5' | float", 1.5),
        ("[1, none] | string", "[1,null]"),
        ("{'a': [1, true]} | tojson", '{"a":[1,true]}'),
        ("'  Ab ' | trim | lower", "ab"),
        ("'hello world' | truncate(8)", "hello w…"),
        ("'a-b-c' | replace('-', '+')", "a+b+c"),
        ("'a,b' | split(',')", ["a", "b"]),
        ("' a  b ' | split", ["a", "b"]),
        ("'a b&c/ü' | urlencode", "a%20b%26c%2F%C3%BC"),
        ("{'q': 'a b', 'n': 1} | urlencode", "q=a+b&n=1"),
        ("when | date('%d.%m.%Y %H:%M')", "25.11.2026 09:30"),
        ("0 | date", "1970-01-01"),
        ("'Crème brûlée: 7 tips!' | slug", "creme-brulee-7-tips"),
    ],
)
def test_a_filter_gives_this(source: str, expected: JsonValue) -> None:
    assert ev(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("plain {x} {{x}} {# stays #} $ {", "plain {x} {{x}} {# stays #} $ {"),
        ("${{ inputs.seeds }}", ["crm", "erp"]),
        (" ${{ inputs.seeds }}", ' ["crm","erp"]'),
        ("${{ inputs.note }}", None),
        ("<${{ inputs.note }}|${{ inputs.flag }}|${{ 1.0 }}>", "<|true|1.0>"),
        ("${{ '${{' }} x }}", "${{ x }}"),
        ("line\n${{ inputs.n }}\n", "line\n3\n"),
        ("${% if inputs.flag %}yes${% else %}no${% endif %}", "yes"),
        ("${% for r in rows %}${{ r.k }},${% endfor %}", "b,a,c,"),
        ("${% for r in [] %}x${% else %}none${% endfor %}", "none"),
        ("${% for k, v in {'a': 1} | items %}${{ k }}=${{ v }}${% endfor %}", "a=1"),
        ("${% for r in rows %}${% for t in r.tags %}${{ t }}${% endfor %};${% endfor %}", "x;;xy;"),
        ("${{ {'a': {'b': 1}} }}", {"a": {"b": 1}}),
        ("${{ '}}' }}", "}}"),
    ],
)
def test_a_text_becomes_this(source: str, expected: JsonValue) -> None:
    assert text(source) == expected


def test_a_value_is_never_scanned_again() -> None:
    scope: dict[str, JsonValue] = {"page": "${{ inputs.secret }} {% raw %}"}
    assert compile_value("<${{ page }}>").evaluate(scope) == "<${{ inputs.secret }} {% raw %}>"


def test_containers_are_walked_and_keep_their_types() -> None:
    compiled = compile_value({"a": ["${{ inputs.n }}", 1, None], "b": {"c": "n=${{ inputs.n }}"}})
    assert compiled.evaluate(SCOPE) == {"a": [3, 1, None], "b": {"c": "n=3"}}
    assert not compiled.is_constant
    assert compile_value({"a": [1, "x"]}).is_constant


def test_references_say_what_is_read_and_where() -> None:
    source = "Hi ${{ inputs.seeds | join(', ') }} ${{ plan.rows[0].x }} ${{ note.x | default('') }}"
    found = compile_value(source).references
    assert [(r.name, r.fields, r.guarded) for r in found] == [
        ("inputs", ("seeds",), False),
        ("plan", ("rows",), False),
        ("note", ("x",), True),
    ]
    assert [source[r.offset : r.offset + len(r.name)] for r in found] == ["inputs", "plan", "note"]


def test_names_bound_by_for_are_not_references() -> None:
    source = "${% for row in rows %}${{ row.k }} ${{ other }}${% endfor %}${{ row }}"
    assert [r.name for r in compile_value(source).references] == ["rows", "other", "row"]


def test_the_offset_of_a_bare_expression_counts_from_its_own_start() -> None:
    (reference,) = compile_expression("not inputs.review").references
    assert (reference.offset, reference.fields) == (4, ("review",))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("inputs.sed", "'inputs' has no field 'sed'; did you mean 'seeds'?"),
        ("input.seeds", "name 'input' is undefined; did you mean 'inputs'?"),
        ("inputs.note.x", "'inputs.note' is null and has no field 'x'; add `| default(…)`"),
        ("inputs.n.x", "'inputs.n' is a number and has no field 'x'"),
        ("rows[7]", "'rows' has 3 elements, none at 7"),
        ("'a' + 'b'", "`+` needs numbers, found string; join text with `~`"),
        ("true + 1", "`+` needs numbers, found boolean"),
        ("1 / 0", "division by zero"),
        ("1 < 'a'", "cannot order number and string"),
        ("9223372036854775807 + 1", "a whole number would need more than 64 bits"),
        ("1e308 * 10", "the result is not a finite number"),
        ("inputs | join", "`join` needs a list, found object"),
        (
            "rows | sort('k') | sort('tags')",
            "`sort` needs all numbers or all strings, found ['list']",
        ),
        ("rows | map('nope')", "`map`: an element (object) has no field 'nope'"),
        ("'x' | date", "`date` needs an ISO 8601 text or seconds since 1970, found 'x'"),
        ("0 | date('%Q')", "the format of `date` has an unknown directive '%Q'"),
    ],
)
def test_evaluation_fails_with_this_message(source: str, message: str) -> None:
    compiled = compile_expression(source)
    with pytest.raises(ExpressionError) as caught:
        compiled.evaluate(SCOPE)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("range(3)", "calls are not allowed; use a filter: `value | filter`"),
        ("'' .format(1)", "calls are not allowed; use a filter: `value | filter`"),
        ("2 ** 9", "`**` is not allowed"),
        ("1 < 2 < 3", "write `a < b and b < c`; comparisons cannot be chained"),
        ("_x", "names must not start with an underscore: '_x'"),
        ("inputs.__class__", "keys must not start with two underscores: '__class__'"),
        ("inputs['__class__']", "keys must not start with two underscores: '__class__'"),
        ("rows | mapp('k')", "no filter 'mapp'; did you mean 'map'?"),
        (
            "rows is iterable",
            "no test 'iterable'; there are boolean, defined, none, number, string, undefined",
        ),
        ("rows | map", "wrong arguments for the filter `map(field, *fallback)`"),
        ("rows | first(1)", "wrong arguments for the filter `first()`"),
        ("rows[::2]", "a slice has no step here"),
        ("1e999", "a number is too large"),
        ("99999999999999999999", "a whole number needs more than 64 bits"),
        (r"'\ud800'", "a text holds half a character (a lone surrogate)"),
        (r"'\d'", "unknown escape in '\\d'; write a backslash as \\\\"),
        ("${{ a }}", "write the expression alone here, without ${{ }}"),
        ("", "Expected an expression, got '}}'"),
    ],
)
def test_compiling_fails_with_this_message(source: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(source)
    assert caught.value.message == message


@pytest.mark.parametrize(
    "source",
    [
        "${% set x = 1 %}", "${% macro m() %}${% endmacro %}", "${% include 'x' %}",
        "${% import 'x' as y %}", "${% extends 'x' %}", "${% block b %}${% endblock %}",
        "${% call x() %}${% endcall %}", "${% filter upper %}x${% endfilter %}",
        "${% for x in xs if x %}${% endfor %}", "${% for x in xs recursive %}${% endfor %}",
        "${% raw %}x", "${% autoescape true %}x${% endautoescape %}", "${% with %}${% endwith %}",
        "${{ self }}${{ self.x() }}", "${{ x", "${% if x %}", "${{ }}",
    ],
)  # fmt: skip
def test_a_construct_outside_the_closed_list_is_refused(source: str) -> None:
    with pytest.raises(ExpressionError):
        compile_value(source)


def test_an_error_inside_a_value_names_its_path() -> None:
    compiled = compile_value({"rows": [{"x": "${{ inputs.nope }}"}]})
    with pytest.raises(ExpressionError, match=r"^rows\[0\]\.x: 'inputs' has no field 'nope'"):
        compiled.evaluate(SCOPE)
    with pytest.raises(ExpressionError, match=r"^rows\[1\]: no filter 'nope'"):
        compile_value({"rows": ["a", "${{ x | nope }}"]})

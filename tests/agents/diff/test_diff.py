"""Two versions of a template, compared by what they mean."""

from treadle.agents.diff import Change, Differences, KeyChanges, compare_contents
from treadle.agents.language.loading import load

OLD = """
treadle: 1
name: probe
version: 1.0.0
inputs: {seeds: {type: array}, locale: {type: string}}
budget: {tokens: 100}
nodes:
  merge: {use: set, with: {keywords: "${{ inputs.seeds }}"}}
  serp:
    use: map
    over: ${{ merge.keywords }}
    nodes:
      hits: {use: web.search, with: {query: "${{ item }}", limit: 10}}
    output: ${{ hits.results }}
  deliver:
    use: switch
    cases:
      - when: inputs.locale == 'en'
        nodes: {doc: {use: set, with: 1}}
        output: ${{ doc }}
      - {else: true, output: null}
outputs: {rows: "${{ serp }}"}
"""


def differences(*edits: tuple[str, str]) -> Differences:
    """From OLD to OLD with edits."""
    new = OLD
    for old_text, new_text in edits:
        assert old_text in new
        new = new.replace(old_text, new_text)
    return compare_contents(load(OLD).content, load(new).content)


def test_order_comments_and_the_way_of_writing_change_nothing() -> None:
    found = differences(
        ("version: 1.0.0", "version: 1.0.1  # the number is not a difference"),
        ("limit: 10", '"limit": 10.0'),
        ("budget: {tokens: 100}", "budget:\n  # comment\n  tokens: 100"),
        ('over: ${{ merge.keywords }}\n', 'over: "${{ merge.keywords }}"\n'),
    )  # fmt: skip
    assert found.is_empty


def test_a_changed_inner_node_is_named_by_its_path_and_its_container_is_not() -> None:
    found = differences(("limit: 10", "limit: 20"))
    assert found.nodes == KeyChanges((), (), ("serp.hits",))
    assert found.changes == (Change("nodes.serp.nodes.hits.with.limit", 10, 20),)


def test_a_container_that_changes_itself_is_named_alone() -> None:
    assert differences(("output: ${{ hits.results }}", "output: 1")).nodes.changed == ("serp",)
    assert differences(("with: 1", "with: 2")).nodes.changed == ("deliver.doc",)
    assert differences(("== 'en'", "== 'de'")).nodes.changed == ("deliver",)


def test_nodes_inputs_outputs_and_the_rest_are_told_apart() -> None:
    found = differences(
        ("  merge: {", "  other: {use: set, with: 1}\n  merged: {"),
        ("locale: {type: string}", "site: {type: string}"),
        ("{rows: ", "{table: "),
        ("tokens: 100", "tokens: 200"),
        ("{type: array}", "{type: array, maxItems: 3}"),
    )
    assert found.nodes.added == ("merged", "other")
    assert found.nodes.removed == ("merge",)
    assert found.inputs == KeyChanges(("site",), ("locale",), ("seeds",))
    assert found.outputs == KeyChanges(("table",), ("rows",), ())
    assert found.others == ("budget",)
    assert Change("inputs.seeds.maxItems", None, 3) in found.changes


def test_true_is_not_one() -> None:
    assert differences(("with: 1", "with: true")).nodes.changed == ("deliver.doc",)

"""`treadle test`: mocks in place of nodes, virtual time, expectations."""

import time
from pathlib import Path

import pytest
from tests.agents.testing.conftest import Try

from treadle.agents.language import parse_template
from treadle.agents.testing import Report, run_tests
from treadle.integrations.registry import all_tools

EXAMPLE = Path(__file__).parents[1] / "language" / "samples" / "design_example.yaml"


def problems(report: Report) -> list[str]:
    """Every line of every problem of a report's only test."""
    (verdict,) = report.verdicts
    return [line for one in verdict.problems for line in (one.title, *one.lines)]


async def test_the_example_of_the_language_passes_its_own_test() -> None:
    checked = parse_template(EXAMPLE.read_text(encoding="utf-8"), tools=all_tools())
    report = await run_tests(checked.template, all_tools())
    assert [verdict.name for verdict in report.verdicts] == ["suggest is down"]
    assert problems(report) == []


async def test_what_computes_runs_and_what_reaches_outside_is_mocked(tried: Try) -> None:
    report = await tried("""
        inputs: {seeds: {type: array, items: {type: string}}}
        nodes:
          ideas:
            use: llm
            with:
              prompt: Ideas for ${{ inputs.seeds }}
              schema: {type: array, items: {type: string}}
          clean: {use: seo.normalize, with: {keywords: "${{ ideas }}"}}
          file: {use: file.markdown, with: {name: plan, text: "${{ clean.keywords | join }}"}}
        outputs: {words: "${{ clean.keywords }}", size: "${{ file.artifact.size }}"}
        tests:
          - name: real tools
            inputs: {seeds: [crm]}
            mock: {ideas: [CRM Software, crm software]}
            expect: ["outputs.words == ['crm software']", "outputs.size >= 12"]
        """)
    assert problems(report) == []


@pytest.mark.parametrize(
    ("node", "use"),
    [
        ("{use: web.search, with: {query: crm}}", "web.search"),
        ("{use: llm, with: {prompt: hello}}", "llm"),
        ("{use: agent, with: {prompt: hello}}", "agent"),
        ("{use: approval, with: {title: May I?, timeout: 1d}}", "approval"),
        ("{use: wait, with: {callback: true, timeout: 1d}}", "wait"),
        ("{use: 'template:outline@^1'}", "template:outline@^1"),
        ("{use: knowledge.search, with: {knowledge: docs, query: crm}}", "knowledge.search"),
        ("{use: chat.reply, with: {text: hello}}", "chat.reply"),
    ],
)
async def test_a_node_that_reaches_outside_without_a_mock_fails_the_test_by_name(
    tried: Try, node: str, use: str
) -> None:
    report = await tried(f"""
        nodes:
          outer:
            use: map
            over: [1]
            nodes:
              far: {{{node[1:-1]}, on_error: {{value: saved}}}}
            output: ${{{{ far }}}}
        tests: [{{name: forgotten}}]
        """)
    assert problems(report) == [
        f"reached `outer.far` ({use}), which has no mock; add `outer.far:` to the test's `mock`"
    ]


async def test_a_mock_stands_for_any_node_as_it_is(tried: Try) -> None:
    report = await tried("""
        nodes:
          ask: {use: approval, with: {title: May I?, timeout: 1d}}
          call: {use: wait, with: {callback: true, timeout: 1d}}
          child: {use: "template:outline@^1", with: {topic: x}}
          found: {use: knowledge.search, with: {knowledge: docs, query: crm}}
          many:
            use: map
            over: [1, 2]
            nodes: {far: {use: web.fetch, with: {url: "https://a.example"}}}
            output: ${{ far }}
          made: {use: set, with: {x: 1}}
        outputs:
          action: ${{ ask.action }}
          all: ${{ many + [made, child.title, call.payload] }}
        tests:
          - name: mocked
            mock:
              ask: {action: approve}
              call: {payload: p}
              child: {title: t}
              found: {}
              many: [a]
              made: null
            expect: ["outputs.action == 'approve'", "outputs.all == ['a', none, 't', 'p']"]
        """)
    assert problems(report) == []


async def test_a_mocked_node_evaluates_what_it_would_pass_on(tried: Try) -> None:
    report = await tried("""
        inputs: {page: {type: object, optional: true}}
        nodes:
          read: {use: web.fetch, with: {url: "${{ inputs.page.url }}"}}
        tests: [{name: a null has no fields, mock: {read: {}}}]
        """)
    assert "read" in problems(report)[1]
    assert "null" in problems(report)[1]


async def test_an_error_is_retried_in_virtual_time_and_then_recovered(tried: Try) -> None:
    started = time.perf_counter()
    report = await tried("""
        nodes:
          read:
            use: web.fetch
            with: {url: "https://a.example"}
            retry: {attempts: 5, initial: 1h, max: 1d}
            on_error: {value: {class: "${{ error.class }}"}}
          rest: {use: wait, needs: [read], with: {for: 30d}}
        outputs: {class: "${{ read.class }}", at: "${{ rest.at }}"}
        tests:
          - name: slow
            mock: {read: {$error: rate_limit}}
            expect:
              - nodes.read.status == 'recovered' and nodes.read.attempts == 5
              - outputs.class == 'rate_limit'
              - outputs.at == '2026-02-05T00:00:00+00:00'
          - name: not retried
            mock: {read: {$error: denied}}
            expect: [nodes.read.attempts == 1]
        """)
    assert [one.problems for one in report.verdicts] == [[], []]
    assert time.perf_counter() - started < 60  # not the hours and days of the template


async def test_waits_and_retries_side_by_side_take_the_longest_time(tried: Try) -> None:
    report = await tried("""
        nodes:
          short: {use: wait, with: {for: 1h}}
          long: {use: wait, with: {for: 2d}}
          after: {use: wait, with: {for: 1h}, needs: [short]}
        outputs: {after: "${{ after.at }}", long: "${{ long.at }}"}
        tests:
          - name: together
            expect:
              - outputs.after == '2026-01-05T11:00:00+00:00'
              - outputs.long == '2026-01-07T09:00:00+00:00'
        """)
    assert problems(report) == []


async def test_each_goes_by_item_and_pass_outermost_first(tried: Try) -> None:
    report = await tried("""
        nodes:
          rows:
            use: map
            over: [a, b]
            on_item_error: skip
            nodes:
              tries:
                use: loop
                max: 2
                nodes:
                  far: {use: web.search, with: {query: x}}
                output: ${{ far }}
            output: ${{ tries }}
          flat:
            use: map
            over: [1, 2, 3]
            on_item_error: "null"
            nodes: {far: {use: web.search, with: {query: x}}}
            output: ${{ far }}
        fixtures: {page: {text: hello}}
        outputs: {rows: "${{ rows }}", flat: "${{ flat }}"}
        tests:
          - name: nested
            mock:
              rows.tries.far: {$each: [{$each: [1, 2]}, {$each: [3, {$error: upstream}]}]}
              flat.far: {$each: [{$fixture: page}, {$error: timeout}, plain]}
            expect: ["outputs.rows == [2]", "outputs.flat == [{'text': 'hello'}, none, 'plain']"]
          - name: too short
            mock: {rows.tries.far: 1, flat.far: {$each: [1]}}
            expect: [run.status == 'succeeded']
        """)
    assert report.verdicts[0].problems == []
    (problem,) = report.verdicts[1].problems
    assert "`flat.far` does not fit step `flat[1].far`: `$each` has 1 entries" in problem.title


async def test_connections_are_bound_that_the_test_lists(tried: Try) -> None:
    report = await tried("""
        connections: {google: {type: google, optional: true}}
        nodes:
          doc:
            use: google_docs.create_document
            connection: google
            when: connections.google
            else: {url: none}
            with: {title: a, markdown: b}
        outputs: {url: "${{ doc.url }}"}
        tests:
          - name: bound
            connections: [google]
            mock: {doc: {url: "doc://1"}}
            expect: ["outputs.url == 'doc://1'"]
          - {name: unbound, expect: ["outputs.url == 'none'", "not connections.google"]}
        """)
    assert [one.problems for one in report.verdicts] == [[], []]


async def test_a_run_that_fails_can_be_what_is_expected(tried: Try) -> None:
    report = await tried("""
        nodes:
          far: {use: web.search, with: {query: x}}
          next: {use: set, with: "${{ far }}"}
        on_failure:
          nodes:
            tell:
              use: notify.email
              with: {to: "${{ run.owner }}", subject: s, text: "${{ error.message }}"}
        tests:
          - name: expected
            mock: {far: {$error: upstream}, tell: {}}
            expect:
              - run.status == 'failed'
              - nodes.far.error.class == 'upstream'
              - nodes.next.status == 'pending'
          - name: not said
            mock: {far: {$error: upstream}, on_failure.tell: {}}
        """)
    assert report.verdicts[0].problems == []
    (problem,) = report.verdicts[1].problems
    assert problem.title == "the run failed"
    assert "`far`: mocked error of class upstream" in problem.lines[0]


async def test_a_template_without_tests_has_not_passed(tried: Try) -> None:
    report = await tried("nodes: {a: {use: set, with: 1}}")
    assert not report.verdicts
    assert not report.is_passed

"""Plans: bounds from a template and its inputs, ranges from history, whom a run may reach."""

from textwrap import dedent

import pytest

from treadle.agents.language import parse_template, validate_inputs
from treadle.agents.plan import Plan, Range, Spent, make_plan
from treadle.agents.plan.manifest import Reach, Source
from treadle.agents.values import JsonValue
from treadle.integrations.registry import all_tools

HEAD = "treadle: 1\nname: probe\nversion: 1.0.0\n"


def planned(body: str, *, history: tuple[Spent, ...] = (), **inputs: JsonValue) -> Plan:
    template = parse_template(HEAD + dedent(body), tools=all_tools()).template
    return make_plan(
        template,
        all_tools(),
        inputs=validate_inputs(template, inputs),
        connections=dict.fromkeys(template.connections, False),
        history=history,
    )


MAP = """
    inputs:
      urls: {type: array, items: {type: string}}
      most: {type: integer, default: 5}
      deep: {type: boolean, default: false}
    nodes:
      addresses: {use: set, with: "${{ inputs.urls | unique }}"}
      pages:
        use: map
        over: ${{ addresses }}
        concurrency: 2
        nodes:
          page:
            use: web.fetch
            with: {url: "${{ item }}"}
            timeout: 30s
            retry: {attempts: 2, initial: 10s}
        output: ${{ page }}
      found:
        use: map
        when: inputs.deep
        over: ${{ (pages | map('url'))[:inputs.most] }}
        nodes: {hit: {use: web.search, with: {query: "${{ item }}"}}}
        output: ${{ hit }}
    """


def test_inputs_decide_sizes_and_conditions() -> None:
    plan = planned(MAP, urls=["a", "b", "b", "c"])
    assert plan.calls == {"web.fetch": Range(3, 6)}
    assert plan.steps == Range(3 + 3, 3 + 3)
    # Two rounds of three items by twos; each page at most two attempts of 30 s and a pause of 10 s.
    assert plan.minutes.high == pytest.approx(2 * 70 / 60)
    assert plan.unknowns == ()


def test_a_slice_bounds_a_list_that_is_not_known_yet() -> None:
    plan = planned(MAP, urls=["a"], deep=True, most=7)
    assert plan.calls["web.search"] == Range(0, 7)


def test_what_nothing_bounds_has_no_upper_end_and_a_reason() -> None:
    plan = planned("""
        nodes:
          ideas: {use: llm, with: {prompt: hello, schema: {type: array}}, retry: {attempts: 2}}
          many:
            use: map
            over: ${{ ideas }}
            nodes: {hit: {use: web.search, with: {query: "${{ item }}"}}}
            output: ${{ hit }}
        """)
    assert plan.model_calls == Range(1, 6)  # the question and two repairs, twice
    assert plan.tokens == Range(0, None)
    assert plan.calls["web.search"] == Range(0, None)
    assert plan.steps == Range(2, None)
    assert [why.partition(" depends")[0] for why in plan.unknowns] == [
        "how many tokens `ideas` reads",
        "how many items `many` has",
    ]


def test_a_budget_is_an_upper_end() -> None:
    plan = planned("""
        budget: {tokens: 1000, model_calls: 2, steps: 50, wall: 5m}
        nodes: {ask: {use: agent, with: {prompt: hello, tools: [web.search]}}}
        """)
    assert (plan.tokens.high, plan.model_calls.high, plan.minutes.high) == (1000, 2, 5)
    assert plan.calls == {"web.search": Range(0, None)}
    assert "which tools `ask` calls is the model's choice" in plan.unknowns


def test_loops_switches_and_waits_count_by_their_caps() -> None:
    plan = planned("""
        inputs: {locale: {type: string}}
        nodes:
          refine:
            use: loop
            max: 3
            nodes: {far: {use: web.search, with: {query: x}, timeout: 1m}}
            until: far.results
            output: ${{ far }}
          rest: {use: wait, needs: [refine], with: {for: 10m}}
          ask: {use: approval, needs: [rest], with: {title: ok, timeout: 1h, on_timeout: approve}}
          choose:
            use: switch
            cases:
              - {when: inputs.locale == 'en', output: 1}
              - when: ask.action == 'approve'
                nodes: {page: {use: web.fetch, with: {url: "https://a.example"}}}
                output: ${{ page }}
        """, locale="de")  # fmt: skip
    assert plan.calls == {"web.search": Range(1, 3), "web.fetch": Range(0, 1)}
    assert plan.minutes == Range(10, 3 + 10 + 60 + 2)


def test_finished_runs_make_the_ranges() -> None:
    history = (Spent(10, 2, 500, 30.0), Spent(14, 3, 900, 90.0))
    plan = planned(MAP, history=history, urls=["a"])
    assert (plan.basis, plan.runs) == ("history", 2)
    assert plan.steps == Range(10, 14)
    assert plan.tokens == Range(500, 900)
    assert plan.minutes == Range(0.5, 1.5)


def test_the_manifest_says_who_decides_whom_a_node_reaches() -> None:
    plan = planned("""
        inputs: {site: {type: string}}
        connections: {crm: {type: http}, google: {type: google, optional: true}}
        defaults: {model: small}
        nodes:
          fixed: {use: web.fetch, with: {url: "https://api.example/v1/${{ inputs.site }}"}}
          half: {use: web.fetch, with: {url: "https://api.${{ inputs.site }}"}}
          found: {use: web.fetch, with: {url: "${{ fixed.url }}"}}
          search: {use: web.search, with: {query: x}}
          send:
            use: http.request
            connection: crm
            with: {method: GET, url: "https://crm.example/v1"}
          local: {use: seo.suggest, with: {seeds: [x], locale: en-US}}
          ask:
            use: agent
            with:
              prompt: hello
              tools: [{use: web.fetch, model_may_choose: [url]}]
        """, site="shop.example")  # fmt: skip
    manifest = plan.manifest
    assert manifest.hosts == ("api.example", "api.shop.example", "crm.example")
    assert manifest.is_open
    assert manifest.models == ("small",)
    assert manifest.connections == {"crm": "http", "google": "google"}
    assert {reach.node: reach for reach in manifest.reaches} == {
        "fixed": Reach("fixed", "web.fetch", Source.TEMPLATE, ("api.example",), None),
        "half": Reach("half", "web.fetch", Source.INPUTS, ("api.shop.example",), None),
        "found": Reach("found", "web.fetch", Source.DATA, (), None),
        "search": Reach("search", "web.search", Source.INSTALLATION, (), None),
        "send": Reach("send", "http.request", Source.TEMPLATE, ("crm.example",), "crm"),
        "ask": Reach("ask", "web.fetch", Source.MODEL, (), None),
    }

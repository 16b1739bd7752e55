"""What is run under every fault: one or more scenarios for each node type.

A scenario's sink paths end in the path of the step that makes them (without indexes), so that
who knows which steps were committed also knows which effects may not come again.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.chaos.rest import ENDED, Json
from tests.chaos.world import World

from treadle.agents.nodes.agent import AgentNode
from treadle.agents.nodes.approval import ApprovalNode
from treadle.agents.nodes.child import ChildNode
from treadle.agents.nodes.llm import LlmNode
from treadle.agents.nodes.loop import LoopNode
from treadle.agents.nodes.map import MapNode
from treadle.agents.nodes.set import SetNode
from treadle.agents.nodes.switch import SwitchNode
from treadle.agents.nodes.tool import ToolNode
from treadle.agents.nodes.union import Node
from treadle.agents.nodes.wait import WaitNode

CHILD = """\
treadle: 1
name: chaos-child
version: 1.0.0
inputs: {sink: {type: string}, tag: {type: string}}
nodes:
  inner:
    use: http.request
    with: {method: POST, url: "${{ inputs.sink }}/keyed/${{ inputs.tag }}/child.inner?ms=120"}
outputs: {n: "${{ inner.json.n }}"}
"""
_HEAD = """\
treadle: 1
name: chaos-{name}
version: 1.0.0
inputs: {{sink: {{type: string}}, tag: {{type: string}}, ms: {{type: integer, default: 120}}}}
nodes:
"""
SEEN_MS = 120
"""How long effects take at least: of a shorter one it may not be written that it has begun, and
then there is no such boundary."""
SETTLE_AFTER_S = 1.0  # a killed worker's request is at the sink by then, or never will be


@dataclass(frozen=True)
class Scenario:
    """One small template with all that is known about it.

    Attributes:
        nodes: Its nodes and outputs, as they stand in the text.
        of: The node types it is there for.
        keyed: Paths at the keyed sink, and how many different effects each stands for.
        once: Paths at the sink that knows no keys; each must be reached exactly once.
        result: The effect whose number is the run's output `n`.
        model_calls: How many are needed.
        is_steady: Whether something leaves for a sink all the time until it ends.
    """

    name: str
    nodes: str
    of: tuple[type[Node], ...]
    result: str
    keyed: dict[str, int] = field(default_factory=dict[str, int])
    once: tuple[str, ...] = ()
    model_calls: int = 0
    is_steady: bool = True

    @property
    def template(self) -> str:
        return _HEAD.format(name=self.name.replace(".", "-").replace("_", "-")) + self.nodes


def _post(path: str, *more: str, kind: str = "keyed") -> str:
    url = f'"${{{{ inputs.sink }}}}/{kind}/${{{{ inputs.tag }}}}/{path}?ms=${{{{ inputs.ms }}}}"'
    return "{" + ", ".join(["method: POST", f"url: {url}", *more]) + "}"


def _get(path: str) -> str:
    return f'{{url: "${{{{ inputs.sink }}}}/read/${{{{ inputs.tag }}}}/{path}?ms=120"}}'


SCENARIOS = (
    Scenario(
        "chain",
        f"""\
  look: {{use: http.request, with: {_get("look")}}}
  first: {{use: http.request, with: {_post("first", 'json: {seen: "${{ look.json.n }}"}')}}}
  second: {{use: http.request, with: {_post("second", 'json: {seen: "${{ first.json.n }}"}')}}}
outputs: {{n: "${{{{ second.json.n }}}}"}}
""",
        (ToolNode,),
        "second",
        keyed={"first": 1, "second": 1},
    ),
    Scenario(
        "once",
        f"""\
  first: {{use: http.request, with: {_post("first", "repeat: never", kind="once")}}}
  second:
    use: http.request
    with: {_post("second", "repeat: never", 'json: {seen: "${{ first.json.n }}"}', kind="once")}
outputs: {{n: "${{{{ second.json.n }}}}"}}
""",
        (ToolNode,),
        "second",
        once=("first", "second"),
    ),
    Scenario(
        "set",
        f"""\
  look: {{use: http.request, with: {_get("look")}}}
  words: {{use: set, with: {{seen: "${{{{ look.json.n }}}}"}}}}
  more: {{use: set, with: {{seen: "${{{{ words.seen }}}}", also: [1, 2]}}}}
  send: {{use: http.request, with: {_post("send", 'json: "${{ more }}"')}}}
outputs: {{n: "${{{{ send.json.n }}}}"}}
""",
        (SetNode,),
        "send",
        keyed={"send": 1},
    ),
    Scenario(
        "map",
        f"""\
  fan:
    use: map
    over: ${{{{ [0, 1, 2, 3, 4, 5] }}}}
    as: one
    concurrency: 3
    nodes:
      look: {{use: http.request, with: {_get("fan.look")}}}
      hit: {{use: http.request, with: {_post("fan.hit", 'json: {seen: "${{ look.json.n }}"}')}}}
    output: ${{{{ hit.json.n }}}}
  send: {{use: http.request, with: {_post("send", 'json: "${{ fan }}"')}}}
outputs: {{n: "${{{{ send.json.n }}}}"}}
""",
        (MapNode,),
        "send",
        keyed={"fan.hit": 6, "send": 1},
    ),
    Scenario(
        "loop",
        f"""\
  again:
    use: loop
    max: 3
    state: {{last: 0}}
    nodes:
      beat: {{use: http.request, with: {_post("again.beat", "json: {same: true}")}}}
    next: {{last: "${{{{ beat.json.n }}}}"}}
    output: ${{{{ beat.json.n }}}}
  send: {{use: http.request, with: {_post("send", 'json: "${{ again }}"')}}}
outputs: {{n: "${{{{ send.json.n }}}}"}}
""",
        (LoopNode,),
        "send",
        keyed={"again.beat": 3, "send": 1},
    ),
    Scenario(
        "switch",
        f"""\
  look: {{use: http.request, with: {_get("look")}}}
  choose:
    use: switch
    cases:
      - when: look.json.n > 0
        nodes:
          hit: {{use: http.request, with: {_post("choose.hit")}}}
        output: ${{{{ hit.json.n }}}}
      - else: true
        nodes:
          miss: {{use: http.request, with: {_post("choose.miss")}}}
        output: ${{{{ miss.json.n }}}}
  send: {{use: http.request, with: {_post("send", 'json: "${{ choose }}"')}}}
outputs: {{n: "${{{{ send.json.n }}}}"}}
""",
        (SwitchNode,),
        "send",
        keyed={"choose.hit": 1, "choose.miss": 0, "send": 1},
    ),
    Scenario(
        "llm",
        f"""\
  say: {{use: llm, with: {{prompt: "Say something. tag:${{{{ inputs.tag }}}}"}}}}
  send: {{use: http.request, with: {_post("send", 'json: "${{ say }}"')}}}
outputs: {{n: "${{{{ send.json.n }}}}"}}
""",
        (LlmNode,),
        "send",
        keyed={"send": 1},
        model_calls=1,
    ),
    Scenario(
        "agent",
        f"""\
  work:
    use: agent
    with:
      prompt: "Please use a tool. tag:${{{{ inputs.tag }}}}"
      tools:
        - use: http.request
          with: {_post("work")}
  send: {{use: http.request, with: {_post("send", 'json: "${{ work.text }}"')}}}
outputs: {{n: "${{{{ send.json.n }}}}"}}
""",
        (AgentNode,),
        "send",
        keyed={"work": 1, "send": 1},
        model_calls=2,
    ),
    Scenario(
        "wait",
        f"""\
  first: {{use: http.request, with: {_post("first")}}}
  pause: {{use: wait, needs: [first], with: {{for: 700ms}}}}
  send: {{use: http.request, needs: [pause], with: {_post("send")}}}
outputs: {{n: "${{{{ send.json.n }}}}"}}
""",
        (WaitNode,),
        "send",
        keyed={"first": 1, "send": 1},
        is_steady=False,
    ),
    Scenario(
        "approval",
        f"""\
  first: {{use: http.request, with: {_post("first")}}}
  ask: {{use: approval, needs: [first], with: {{title: Go on?}}}}
  send: {{use: http.request, with: {_post("send", 'json: "${{ ask.action }}"')}}}
outputs: {{n: "${{{{ send.json.n }}}}"}}
""",
        (ApprovalNode,),
        "send",
        keyed={"first": 1, "send": 1},
        is_steady=False,
    ),
    Scenario(
        "family",
        f"""\
  child:
    use: template:chaos-child
    with: {{sink: "${{{{ inputs.sink }}}}", tag: "${{{{ inputs.tag }}}}"}}
  send: {{use: http.request, needs: [child], with: {_post("send")}}}
outputs: {{n: "${{{{ send.json.n }}}}"}}
""",
        (ChildNode,),
        "send",
        keyed={"child.inner": 1, "send": 1},
        is_steady=False,
    ),
)  # fmt: skip


def prepare(world: World) -> None:
    """Store what scenarios refer to."""
    world.rest.ask(
        "PUT",
        "/v1/templates/chaos-child",
        ok=(200, 201),
        content=CHILD,
        headers={"Content-Type": "application/yaml"},
    )


def start(world: World, scenario: Scenario, tag: str, *, ms: int = SEEN_MS, **more: object) -> str:
    """Start a run of a scenario, once; its effects take so many milliseconds."""
    inputs: Json = {**world.inputs, "tag": tag, "ms": ms}
    return world.rest.start(scenario.template, inputs, key=tag, **more)


@dataclass
class People:
    """Those who answer what a run waits for. They know no more than the sinks tell them.

    Attributes:
        settled: How often they had to say what became of an effect.
    """

    world: World
    settled: int = 0
    on_wait: Callable[[Json], None] | None = None
    _seen_at: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])

    def look_after(self, run: str, tag: str, *, within_s: float, pause_s: float = 0.1) -> Json:
        """Answer until the run ends; raises `AssertionError` if it does not."""
        until = time.monotonic() + within_s
        while True:
            shown = self.world.rest.run(run)
            if shown["status"] in ENDED:
                return shown
            if self.on_wait is not None and shown["waiting_for"]:
                self.on_wait(shown)
            self._answer(shown, tag)
            assert time.monotonic() < until, f"no end within {within_s:g} s: {shown}"
            time.sleep(pause_s)

    def _answer(self, shown: Json, tag: str) -> None:
        for wait in shown["waiting_for"]:
            if wait["kind"] == "approval":
                self.world.rest.approve(shown["id"])
            elif wait["kind"] == "unknown":
                self._settle(shown["id"], str(wait["id"]), tag)

    def _settle(self, run: str, path: str, tag: str) -> None:
        """Go and see whether it happened, as a person would."""
        now = time.monotonic()
        if now - self._seen_at.setdefault((run, path), now) < SETTLE_AFTER_S:
            return
        del self._seen_at[run, path]
        self.settled += 1
        self.world.sink.catch_up()
        arrivals = self.world.sink.arrivals(f"/once/{tag}/{path}")
        if arrivals:
            output = {"status": 200, "json": {"n": arrivals[-1].number}}
            self.world.rest.settle(run, path, "done", output)
        else:
            self.world.rest.settle(run, path, "retry")


def faults(
    world: World, scenario: Scenario, tag: str, shown: Json, *, spare_calls: int
) -> list[str]:
    """What is wrong with a run that ended, by the books of the sinks.

    Args:
        spare_calls: Model calls that may have been under way when somebody was killed.
    """
    found: list[str] = []
    if shown["status"] != "succeeded":
        found.append(f"status {shown['status']}: {shown['error']}")
    for path, wanted in scenario.keyed.items():
        keys = world.sink.keys(f"/keyed/{tag}/{path}")
        if len(keys) != wanted or None in keys:
            found.append(f"keyed {path}: {len(keys)} different effects instead of {wanted}")
    for path in scenario.once:
        count = world.sink.count(f"/once/{tag}/{path}")
        if count != 1:
            found.append(f"once {path}: happened {count} times")
    calls = world.models.calls(tag)
    if not scenario.model_calls <= calls <= scenario.model_calls + spare_calls:
        found.append(f"model calls: {calls} instead of {scenario.model_calls}")
    found.extend(_wrong_result(world, scenario, tag, shown))
    return found


def _wrong_result(world: World, scenario: Scenario, tag: str, shown: Json) -> list[str]:
    kind = "once" if scenario.result in scenario.once else "keyed"
    numbers = {one.number for one in world.sink.arrivals(f"/{kind}/{tag}/{scenario.result}")}
    outputs: Json = shown["outputs"] or {}
    given: object = outputs.get("n")
    return [] if {given} == numbers else [f"output {given} where the sink gave {sorted(numbers)}"]

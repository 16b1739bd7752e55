"""Checks what no single key shows: exactly one of these, this only with that, never reached."""

from collections.abc import Iterator
from datetime import datetime
from typing import TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from treadle.agents.language.findings import Findings, did_you_mean
from treadle.agents.language.triggers import ScheduleTrigger
from treadle.agents.nodes import Node
from treadle.agents.nodes.agent import AgentNode
from treadle.agents.nodes.approval import ApprovalNode
from treadle.agents.nodes.fields import Condition, Path
from treadle.agents.nodes.llm import LlmNode
from treadle.agents.nodes.switch import SwitchNode
from treadle.agents.nodes.wait import WaitNode

Found: TypeAlias = tuple[Path, str, str | None]
_START = datetime(2000, 1, 1)  # noqa: DTZ001 - a cron line is checked, no time is told


def check_choices(node: Node, path: Path, findings: Findings) -> None:
    """Report what does not go together in a node."""
    match node:
        case LlmNode() | AgentNode():
            for where, message, hint in _of_model(node):
                findings.error((*path, *where), message, hint)
        case SwitchNode():
            _check_switch(node, path, findings)
        case ApprovalNode():
            _check_approval(node, path, findings)
        case WaitNode():
            _check_wait(node, path, findings)
        case _:
            return


def _of_model(node: LlmNode | AgentNode) -> Iterator[Found]:
    given = [key for key in ("prompt", "messages") if getattr(node.config, key) is not None]
    if len(given) == 2:
        yield ("with", "messages"), "`prompt` and `messages` do not go together", "Keep one."
    if not given:
        yield ("with",), "an llm or agent needs `prompt` or `messages`", None


def _check_switch(node: SwitchNode, path: Path, findings: Findings) -> None:
    ended: int | None = None
    for index, case in enumerate(node.cases):
        at = (*path, "cases", index)
        if (case.when is None) == (case.is_else is None):
            findings.error(at, "a case has either `when` or `else: true`")
        if ended is not None:
            findings.warning(at, f"this case is never reached: case {ended + 1} always holds")
        elif case.is_else or _always_holds(case.when):
            ended = index


def _always_holds(when: Condition | None) -> bool:
    return when is not None and when.source.strip() == "true"


def _check_approval(node: ApprovalNode, path: Path, findings: Findings) -> None:
    config, at = node.config, (*path, "with")
    spot = findings.document.spot(at if at in findings.document.values else path)
    if len(set(config.actions)) < len(config.actions):
        findings.error((*at, "actions"), "the same action stands here twice")
    if config.on_timeout is not None and config.on_timeout not in {*config.actions, "fail"}:
        hint = did_you_mean(config.on_timeout, [*config.actions, "fail"])
        message = f"`on_timeout` is one of {', '.join(config.actions)} or fail"
        findings.error((*at, "on_timeout"), message, hint)
    if config.timeout is None and (*at, "timeout") not in findings.document.values:
        message = "this approval waits for ever: it has no timeout"
        hint = "Add `timeout: 3d` and `on_timeout`."
        findings.warning((*at, "timeout"), message, hint, spot=spot)
    elif config.timeout is not None and config.on_timeout is None:
        message = "without `on_timeout` the run fails when nobody answers"
        findings.warning((*at, "on_timeout"), message, "Name an action, or fail.", spot=spot)


def _check_wait(node: WaitNode, path: Path, findings: Findings) -> None:
    config, at = node.config, (*path, "with")
    given = [key for key in (config.duration, config.at, config.callback) if key is not None]
    if len(given) != 1:
        findings.error(at, "a wait has exactly one of `for`, `at` and `callback: true`")
    if config.callback is None and config.timeout is not None:
        findings.error((*at, "timeout"), "`timeout` belongs to `callback: true` only")
    if config.callback is not None and config.timeout is None:
        hint = "Add `timeout: 1d`."
        findings.warning((*at, "timeout"), "this wait has no timeout", hint)


def check_schedule(trigger: ScheduleTrigger, path: Path, findings: Findings) -> None:
    """Report a schedule that names no time, several, or one that cannot be."""
    given = [key for key in (trigger.cron, trigger.at, trigger.every) if key is not None]
    if len(given) != 1:
        findings.error(path, "a schedule has exactly one of `cron`, `at` and `every`")
    if trigger.cron is not None:
        try:
            _read_cron(trigger.cron)
        except CronSimError as error:
            hint = 'Write minute, hour, day, month and weekday: "0 7 * * 1".'
            findings.error((*path, "cron"), f"wrong cron line: {error}", hint)
    if trigger.at is not None and not _is_moment(trigger.at):
        hint = 'Write a time with its offset: "2026-12-01T09:00:00+01:00".'
        findings.error((*path, "at"), "`at` is no RFC 3339 time", hint)
    try:
        ZoneInfo(trigger.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        hint = "Use a name such as Europe/Berlin."
        findings.error((*path, "timezone"), f"unknown time zone {trigger.timezone[:60]!r}", hint)


def _read_cron(line: str) -> None:
    """Raise `CronSimError` for a wrong line; CronSim would take a sixth field, for seconds."""
    if len(line.split()) != 5:
        raise CronSimError("it has 5 fields")
    CronSim(line, _START)


def _is_moment(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False

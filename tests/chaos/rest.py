"""The one way in: the REST API, called by somebody who tries again when nobody answers."""

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import httpx

Json = dict[str, Any]  # Any: what the API shows, looked at in many places

ENDED = frozenset({"succeeded", "failed", "cancelled"})
_AWAY = frozenset(
    {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT,
     HTTPStatus.INSUFFICIENT_STORAGE}
)  # fmt: skip
_AGAIN_S = 0.15


class Unanswered(AssertionError):
    """The API did not do what it was asked within the patience of its caller."""


class Rest:
    """A caller with one key.

    Attributes:
        answers: How often each status came, for those who count them.
    """

    def __init__(self, url: str, key: str, *, patience_s: float = 90.0) -> None:
        self._client = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=20
        )
        self._patience_s = patience_s
        self.answers: dict[int, int] = {}

    def close(self) -> None:
        self._client.close()

    def send(self, method: str, path: str, **more: Any) -> httpx.Response:  # Any: httpx's own
        """One try."""
        answer = self._client.request(method, path, **more)
        self.answers[answer.status_code] = self.answers.get(answer.status_code, 0) + 1
        return answer

    def ask(
        self, method: str, path: str, *, ok: tuple[int, ...] = (200,), **more: Any
    ) -> Any:  # Any: JSON
        """Try until there is an answer, and take only one of these statuses."""
        until = time.monotonic() + self._patience_s
        last = "nothing"
        while time.monotonic() < until:
            try:
                answer = self.send(method, path, **more)
            except httpx.TransportError as error:
                last = repr(error)
            else:
                if answer.status_code in ok:
                    return answer.json() if answer.content else None
                last = f"{answer.status_code} {answer.text[:500]}"
                if not _is_away(answer):
                    break
            time.sleep(_AGAIN_S)
        raise Unanswered(f"{method} {path}: {last}")

    def start(self, template: str, inputs: Json, *, key: str, **more: object) -> str:
        """Start a run, once, however often it takes to hear of it."""
        body = {"template": template, "inputs": inputs, **more}
        run: str = self.ask(
            "POST", "/v1/runs", ok=(202,), json=body, headers={"Idempotency-Key": key}
        )["id"]
        return run

    def run(self, run: str) -> Json:
        shown: Json = self.ask("GET", f"/v1/runs/{run}")
        return shown

    def newest_runs(self) -> set[str]:
        """The ids of the newest of all runs, a page of them."""
        shown: Json = self.ask("GET", "/v1/runs")
        return {item["id"] for item in shown["items"]}

    def ended(self, run: str, *, within_s: float = 60.0) -> Json:
        """The run at its end; raises if that does not come."""
        return self.until(run, lambda shown: shown["status"] in ENDED, within_s=within_s)

    def waits_for(self, run: str, kind: str, *, within_s: float = 60.0) -> Json:
        """The run as it waits for this; an end comes instead of it fails."""

        def holds(shown: Json) -> bool:
            assert shown["status"] not in ENDED, shown
            return any(one["kind"] == kind for one in shown["waiting_for"])

        return self.until(run, holds, within_s=within_s)

    def until(self, run: str, holds: Callable[[Json], bool], *, within_s: float = 60.0) -> Json:
        until = time.monotonic() + within_s
        while True:
            shown = self.run(run)
            if holds(shown):
                return shown
            assert time.monotonic() < until, f"not within {within_s:g} s: {shown}"
            time.sleep(0.1)

    def approve(self, run: str, action: str = "approve") -> None:
        """Answer the approvals of a run that are open."""
        for one in self.ask("GET", "/v1/approvals", params={"limit": 200})["items"]:
            if one["run"] == run:
                body: Json = {"action": action, "form": {}}
                self.ask("POST", f"/v1/approvals/{one['id']}", ok=(200, 409), json=body)

    def settle(self, run: str, path: str, verdict: str, output: object = None) -> None:
        """Say what became of an unknown step; somebody may have said it already."""
        body: Json = {"as": verdict}
        if verdict == "done":
            body["output"] = output
        self.ask(
            "POST", f"/v1/runs/{run}/steps/{path}/settle",
            ok=(202, 404, 409),
            json=body,
            headers={"Idempotency-Key": str(uuid4())},
        )  # fmt: skip


def _is_away(answer: httpx.Response) -> bool:
    """Whether asking again is what the answer means."""
    if answer.status_code in _AWAY:
        return True
    return answer.status_code == HTTPStatus.CONFLICT and (
        answer.json().get("code") == "idempotency_key_in_progress"
    )

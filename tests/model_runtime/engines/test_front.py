"""Another engine behind our API: same fields, errors, keys, limits and metrics.

The engine is a stand-in that speaks the real ones' wire; it runs as a process of its own, found
and started as they are.
"""

import asyncio
import json
import os
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from pydantic import JsonValue
from tests.model_runtime.engines.flagsets import ENGINES
from tests.model_runtime.engines.standin import install

from treadle.model_runtime.engines.front import FrontOptions, create_front
from treadle.model_runtime.engines.installed import find_engine
from treadle.model_runtime.engines.opening import Probe, command_of, launch_of
from treadle.model_runtime.engines.process import EngineProcess, Patience
from treadle.model_runtime.engines.relay import Upstream
from treadle.model_runtime.errors import EngineFailed, EngineRefused
from treadle.model_runtime.settings import RuntimeSettings

pytestmark = pytest.mark.slow  # each test starts an engine's process

QUICK = Patience(ready=20, poll=0.05, silence=0.1, misses=3, grace=5, first_pause=0.05)
KEYED = {"Authorization": "Bearer k1"}


@dataclass
class Serving:
    """A front with its engine, and what the engine leaves behind."""

    client: httpx.AsyncClient
    process: EngineProcess
    state: Path
    failures: list[EngineFailed]

    async def chat(self, text: str, **fields: JsonValue) -> httpx.Response:
        body = {"model": "m", "messages": [{"role": "user", "content": text}], **fields}
        return await self.client.post("/v1/chat/completions", json=body, headers=KEYED)

    @property
    def last(self) -> dict[str, JsonValue]:
        """The body that the engine was sent."""
        found: dict[str, JsonValue] = json.loads(
            (self.state / "last.json").read_text(encoding="utf-8")
        )
        return found

    @property
    def pids(self) -> list[int]:
        """Engines and their children, in the order of their starts."""
        return [int(pid) for pid in (self.state / "children").read_text(encoding="utf-8").split()]


async def until(holds: Callable[[], bool], *, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    """Zombies are not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@asynccontextmanager
async def serving(
    folder: Path,
    engine: str = "vllm",
    *,
    most: int = 8,
    timeout_s: float = 20,
    broken: bool = False,
    kept: Path | None = None,
    traces: str | None = None,
) -> AsyncGenerator[Serving]:
    """A front; `kept` is its folder of files and batches, `traces` a collector."""
    python, state = install(folder, engine)
    if broken:
        (state / "broken").touch()
    settings = RuntimeSettings(model=Path("org/m"), name="m", engine="vllm", dialect="deepseek-r1")
    settings = settings.model_copy(update={"engine": engine})
    port = free_port()
    launch = launch_of(settings, port=port)
    command = command_of(engine, launch, find_engine(engine, python))
    upstream = Upstream(engine, f"http://127.0.0.1:{port}/v1", "m", "inner")
    probe = Probe(upstream)
    env = {"VLLM_API_KEY": "inner"}
    process = EngineProcess(command, probe.answers, probe.is_well, env=env, patience=QUICK)
    failures: list[EngineFailed] = []
    app = create_front(
        upstream,
        FrontOptions(
            name="m",
            keys=["k1"],
            aliases=["chat"],
            most=most,
            timeout_s=timeout_s,
            state=kept,
            traces=traces,
        ),
        client=httpx.AsyncClient(),
        process=process,
        give_up=failures.append,
    )
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://front") as client:
            if not broken:
                await until(process.ready.is_set)
            yield Serving(client, process, state, failures)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("engine", ENGINES)
async def test_an_answer_reads_like_our_own(tmp_path: Path, engine: str) -> None:
    async with serving(tmp_path, engine) as front:
        answer = (await front.chat("2+2")).json()
        assert answer["model"] == "m"
        message = {"role": "assistant", "content": "four", "reasoning_content": "2+2"}
        assert answer["choices"][0]["message"] == message
        assert answer["usage"]["prompt_cache_hit_tokens"] == 8
        assert answer["usage"]["prompt_cache_miss_tokens"] == 2
        assert "kv_transfer_params" not in answer
        body = {"model": "chat", "prompt": "2+2="}
        whole = await front.client.post("/v1/completions", json=body, headers=KEYED)
        assert whole.json()["choices"][0]["text"] == "four"


def told(response: httpx.Response) -> list[dict[str, JsonValue]]:
    lines = [line for line in response.text.split("\n") if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line[6:]) for line in lines[:-1]]


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_stream_reads_like_our_own(tmp_path: Path, engine: str) -> None:
    async with serving(tmp_path, engine) as front:
        plain = told(await front.chat("2+2", stream=True))
        deltas = [choice["delta"] for part in plain for choice in part["choices"]]  # type: ignore[index, union-attr, call-overload]  # JSON of a test
        assert deltas[1:3] == [{"reasoning_content": "2+2"}, {"content": "fo\u2028ur"}]
        assert not any("usage" in part for part in plain)
        asked = told(await front.chat("2+2", stream=True, stream_options={"include_usage": True}))
        assert asked[-1]["choices"] == []
        assert asked[-1]["usage"]["prompt_cache_hit_tokens"] == 8  # type: ignore[index, call-overload]  # JSON of a test


async def test_the_engine_gets_what_the_client_set_and_nothing_else(tmp_path: Path) -> None:
    async with serving(tmp_path) as front:
        await front.chat("x", thinking={"type": "disabled"}, user="ada", temperature=0.5)
        assert front.last == {
            "model": "m",
            "messages": [{"role": "user", "content": "x"}],
            "temperature": 0.5,
            "chat_template_kwargs": {"thinking": False, "enable_thinking": False},
        }
        refused = await front.chat("x", chat_template_kwargs={"tokenize": True})
        assert refused.status_code == 400
        assert (await front.chat("x", chat_template="{{ x }}")).status_code == 400
        body = {
            "model": "m",
            "messages": [
                {"role": "user", "content": "Count."},
                {"role": "assistant", "content": "1, 2,", "prefix": True},
            ],
        }
        await front.client.post("/v1/chat/completions", json=body, headers=KEYED)
        assert front.last["continue_final_message"] is True
        assert front.last["add_generation_prompt"] is False
        assert "prefix" not in json.dumps(front.last)


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("refuse", 400, "invalid_value"),
        ("busy", 429, "queue_full"),
        ("page", 502, "upstream_failed"),
        ("crash", 502, "upstream_failed"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_errors_have_our_form(
    tmp_path: Path, text: str, status: int, code: str, *, stream: bool
) -> None:
    async with serving(tmp_path) as front:
        found = await front.chat(text, stream=stream)
        assert (found.status_code, found.json()["error"]["code"]) == (status, code)
        if status == 429:
            assert found.headers["Retry-After"] == "7"


async def test_a_cut_stream_ends_with_an_error(tmp_path: Path) -> None:
    async with serving(tmp_path) as front:
        assert told(await front.chat("cut", stream=True))[-1]["error"]["code"] == "upstream_failed"  # type: ignore[index, call-overload]  # JSON of a test


@pytest.mark.slow
async def test_keys_names_limits_and_time_are_ours(tmp_path: Path) -> None:
    async with serving(tmp_path, most=1, timeout_s=1.5) as front:
        body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
        without = await front.client.post("/v1/chat/completions", json=body)
        assert without.status_code == 401
        other = await front.client.post(
            "/v1/chat/completions", json={**body, "model": "gpt"}, headers=KEYED
        )
        assert other.json()["error"]["code"] == "model_not_found"
        slow = asyncio.create_task(front.chat("slow"))
        await until(
            lambda: front.state.joinpath("last.json").exists() and "slow" in str(front.last)
        )
        refused = await front.chat("x")
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "queue_full")
        late = await slow
        assert (late.status_code, late.json()["error"]["code"]) == (504, "deadline_exceeded")
        assert (await front.chat("x")).status_code == 200
        listed = (await front.client.get("/v1/models", headers=KEYED)).json()
        assert [model["id"] for model in listed["data"]] == ["m", "chat"]


@pytest.mark.parametrize("engine", ENGINES)
async def test_metrics_have_our_names(tmp_path: Path, engine: str) -> None:
    async with serving(tmp_path, engine) as front:
        await front.chat("x", stream=True)
        text = (await front.client.get("/metrics")).text
        for line in (
            "treadle_runtime_requests_running 4",
            "treadle_runtime_cache_used_ratio 0.25",
            "treadle_runtime_tokens_answered_total 40",
            'treadle_runtime_requests_total{endpoint="/v1/chat/completions",status="200"} 1.0',
            "treadle_runtime_first_token_seconds_count 1.0",
            "treadle_runtime_between_tokens_seconds_count 1.0",
        ):
            assert line in text


async def test_a_crash_is_told_and_mended(tmp_path: Path) -> None:
    async with serving(tmp_path) as front:
        await front.chat("crash")
        await until(lambda: front.process.restarts == 1)
        starting = await front.chat("x")
        if starting.status_code != 200:  # it may have come up in the meantime
            assert starting.json()["error"]["code"] == "engine_starting"
            assert starting.headers["Retry-After"]
            assert (await front.client.get("/healthz")).status_code == 503
        await until(front.process.ready.is_set)
        assert (await front.chat("x")).status_code == 200
        _, child, *_ = front.pids
        assert not alive(child), "the crashed engine's worker was left behind"


async def test_an_engine_that_hangs_is_started_again(tmp_path: Path) -> None:
    async with serving(tmp_path) as front:
        (front.state / "unwell").touch()
        await until(lambda: front.process.restarts == 1)
        (front.state / "unwell").unlink()
        await until(front.process.ready.is_set)
        assert not any(alive(pid) for pid in front.pids[:2])


async def test_an_end_leaves_nothing_running(tmp_path: Path) -> None:
    async with serving(tmp_path) as front:
        assert all(alive(pid) for pid in front.pids)
    await until(lambda: not any(alive(pid) for pid in front.pids))


async def test_an_engine_that_cannot_start_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    async with serving(tmp_path, broken=True) as front:
        await until(lambda: bool(front.failures))
        assert "CUDA out of memory" in str(front.failures[0])
        assert front.process.restarts == QUICK.failures - 1


async def test_a_client_that_leaves_ends_the_work(tmp_path: Path) -> None:
    async with serving(tmp_path) as front:
        body = {"model": "m", "messages": [{"role": "user", "content": "slow"}], "stream": True}
        relay_free = front.state / "left"
        app = front.client._transport.app  # type: ignore[attr-defined]  # httpx keeps it to itself
        sent = json.dumps(body).encode()
        gone = asyncio.Event()

        async def receive() -> dict[str, object]:
            if not receive_state:
                receive_state.append(1)
                return {"type": "http.request", "body": sent, "more_body": False}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, object]) -> None:
            if message["type"] == "http.response.body":
                gone.set()

        receive_state: list[int] = []
        headers = [(b"authorization", b"Bearer k1"), (b"content-type", b"application/json")]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "path": "/v1/chat/completions",
            "raw_path": b"/v1/chat/completions",
            "query_string": b"",
            "headers": headers,
            "scheme": "http",
            "server": ("front", 80),
            "client": ("c", 1),
        }
        await app(scope, receive, send)
        await until(relay_free.exists)


async def test_an_absent_engine_is_named(tmp_path: Path) -> None:
    python, _ = install(tmp_path, "vllm")
    with pytest.raises(EngineRefused, match="sglang is not installed beside"):
        find_engine("sglang", python)
    with pytest.raises(EngineRefused, match="cannot be asked"):
        find_engine("vllm", tmp_path / "no-python")


async def test_what_the_installed_version_lacks_stops_the_start(tmp_path: Path) -> None:
    python, _ = install(tmp_path, "vllm")
    found = find_engine("vllm", python)
    settings = RuntimeSettings(model=Path("m"), engine="vllm", engine_args="--no-such-flag 1")
    with pytest.raises(EngineRefused, match="no flag '--no-such-flag'"):
        command_of("vllm", launch_of(settings, port=1), found)
    assert os.access(python, os.X_OK)
    assert replace(found, python=Path("p")).flags.version == "0.33.0"

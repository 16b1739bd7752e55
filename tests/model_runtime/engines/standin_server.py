"""What answers in an engine's place: its command line and its wire, without a model.

It is copied into a package of the engine's name and started as the engine would be. It speaks
what vLLM 0.33 and SGLang 0.5.23 speak, refuses flags that they refuse, and ends on request.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any  # bodies are whatever JSON is sent

from typing_extensions import override

KIND = Path("%KIND%").name  # "vllm" or "sglang": the tests write it here
FLAGS = Path("%FLAGS%")
STATE = Path("%STATE%")  # a folder in which the tests look, and through which they interfere
METRICS = {
    "vllm": 'vllm:num_requests_running{engine="0"} 3\nvllm:num_requests_running{engine="1"} 1\n'
    'vllm:kv_cache_usage_perc{engine="0"} 0.25\nvllm:generation_tokens_total{engine="0"} 40\n',
    "sglang": "sglang:num_running_reqs 4\nsglang:token_usage 0.25\n"
    "sglang:generation_tokens_total 40\n",
}
THOUGHT = "reasoning" if KIND == "vllm" else "reasoning_content"


def parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    if KIND == "vllm":
        parser.add_argument("command", choices=["serve"])
        parser.add_argument("model_tag")
    for name, flag in json.loads(FLAGS.read_text(encoding="utf-8"))["flags"].items():
        takes = flag.get("takes", "value")
        if takes == "nothing":
            parser.add_argument(name, action="store_true")
        else:
            nargs = {"value": None, "values": "+", "optional": "?"}[takes]
            parser.add_argument(name, nargs=nargs, choices=flag.get("choices"))
    return parser.parse_args(arguments)


class Handler(BaseHTTPRequestHandler):
    """One request; the prompt says how it goes."""

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the tests read the output."""

    def do_GET(self) -> None:
        if self.path == "/metrics":
            self.reply(200, METRICS[KIND].encode())
        else:
            self.reply(503 if (STATE / "unwell").exists() else 200, b"")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = os.environ.get("VLLM_API_KEY", "")
        if key and self.headers.get("Authorization") != f"Bearer {key}":
            self.reply_json(401, {"error": {"message": "Unauthorized", "code": 401}})
            return
        (STATE / "last.json").write_text(json.dumps(body), encoding="utf-8")
        text = body.get("prompt") or body["messages"][-1]["content"]
        if text == "crash":
            os._exit(7)
        if text == "refuse":
            error = {"message": "too long", "type": "BadRequestError", "param": None, "code": 400}
            self.reply_json(400, {"error": error})
        elif text == "busy":
            self.reply_json(429, {"error": {"message": "later"}}, retry_after="7")
        elif text == "page":
            self.reply(502, b"<html>bad gateway</html>")
        elif body.get("stream"):
            self.stream(body, cut=text == "cut", slow=text == "slow")
        else:
            if text == "slow":
                time.sleep(30)
            self.reply_json(200, whole(body))

    def stream(self, body: dict[str, Any], *, cut: bool, slow: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        try:
            for chunk in chunks(body):
                self.wfile.write(b"data: " + json.dumps(chunk, ensure_ascii=False).encode())
                self.wfile.write(b"\n\n")
                self.wfile.flush()
                if cut:
                    return
                if slow:
                    time.sleep(0.1)
            self.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            (STATE / "left").touch()

    def reply_json(self, status: int, body: dict[str, Any], *, retry_after: str = "") -> None:
        self.reply(status, json.dumps(body).encode(), retry_after=retry_after)

    def reply(self, status: int, body: bytes, *, retry_after: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(body)


USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 4,
    "total_tokens": 14,
    "prompt_tokens_details": {"cached_tokens": 8},
}


def whole(body: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": "four", THOUGHT: "2+2", "tool_calls": []}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "stop_reason": None}
    if "prompt" in body:
        choice = {"index": 0, "text": "four", "finish_reason": "length", "logprobs": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"],
        "choices": [choice],
        "usage": USAGE,
        "kv_transfer_params": {"secret": "inside"},
    }


def chunks(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "x"}
    # U+2028 ends a line for some readers, and must not for this one.
    parts = [{"role": "assistant", "content": ""}, {THOUGHT: "2+2"}, {"content": "fo\u2028ur"}]
    if body["messages"][-1]["content"] == "slow":
        parts += [{"content": "."}] * 600
    for delta in parts:
        yield {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    if body.get("stream_options", {}).get("include_usage"):
        yield {**head, "choices": [], "usage": USAGE}


def main() -> None:
    given = parsed(sys.argv[1:])
    child = subprocess.Popen(["/bin/sleep", "600"])  # an engine's worker
    with (STATE / "children").open("a", encoding="utf-8") as file:
        file.write(f"{os.getpid()} {child.pid}\n")
    (STATE / "arguments.json").write_text(json.dumps(sys.argv[1:]), encoding="utf-8")
    sys.stdout.write("loading weights\n")
    if (STATE / "broken").exists():
        sys.exit("CUDA out of memory")
    ThreadingHTTPServer((given.host, int(given.port)), Handler).serve_forever()


if __name__ == "__main__":
    main()

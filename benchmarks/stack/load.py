"""Load by wrk, a compiled generator: a Python one would measure itself.

It keeps a number of connections busy, each with one request at a time.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = """
wrk.method = "POST"
wrk.body = [==[{body}]==]
{headers}
function done(summary, latency, requests)
  io.write(string.format('{{"requests":%d,"us":%d,"errors":%d,"p50":%.3f,"p95":%.3f,"p99":%.3f}}',
    summary.requests, summary.duration,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status
      + summary.errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(95) / 1000, latency:percentile(99) / 1000))
end
"""


@dataclass(frozen=True)
class Request:
    """What every connection posts, again and again."""

    url: str
    body: Mapping[str, object]
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Answered:
    """What came back; times in milliseconds."""

    count: int
    seconds: float
    errors: int
    p50_ms: float
    p95_ms: float
    p99_ms: float

    @property
    def per_s(self) -> float:
        """Answers per second."""
        return self.count / self.seconds


def is_there() -> bool:
    """Whether the generator is installed."""
    return shutil.which("wrk") is not None


def post(request: Request, *, connections: int, seconds: float) -> Answered:
    """Load for some time; raises `CalledProcessError` if the generator fails."""
    headers = {"Content-Type": "application/json", **request.headers}
    script = _SCRIPT.format(
        body=json.dumps(request.body),
        headers="\n".join(f'wrk.headers["{name}"] = "{text}"' for name, text in headers.items()),
    )
    with tempfile.NamedTemporaryFile("w", suffix=".lua", encoding="utf-8") as file:
        file.write(script)
        file.flush()
        # One thread: more of them would take the cores that are measured. Whole seconds: it takes
        # no others.
        whole_s = max(1, round(seconds))
        words = ["wrk", "-t1", f"-c{connections}", f"-d{whole_s}s", "--timeout", "60s"]
        said = subprocess.run(
            [*words, "-s", Path(file.name), request.url],
            check=True,
            capture_output=True,
            text=True,
            timeout=seconds + 120,
        ).stdout
    told = json.loads(said[said.rindex("{") :])
    return Answered(
        count=told["requests"],
        seconds=told["us"] / 1e6,
        errors=told["errors"],
        p50_ms=told["p50"],
        p95_ms=told["p95"],
        p99_ms=told["p99"],
    )

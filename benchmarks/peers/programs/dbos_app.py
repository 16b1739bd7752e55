"""DBOS behind uvicorn: PORT MODEL_URL DATABASE_URL."""

import asyncio
import json
import sys
from typing import Any

import httpx
import uvicorn
import uvloop
from dbos import DBOS, DBOSConfig

port, model_url, system_url = int(sys.argv[1]), *sys.argv[2:4]
config: DBOSConfig = {
    "name": "bench",
    "system_database_url": system_url.replace("postgresql://", "postgresql+psycopg://"),
    "run_admin_server": False,
    "log_level": "WARNING",
}
DBOS(config=config)
client = httpx.AsyncClient(timeout=60)


@DBOS.step()
async def add(n: int) -> int:
    """A step that does next to nothing."""
    return n + 1


@DBOS.step()
async def call(base: str) -> str:
    """A step that asks the model."""
    answer = await client.post(
        f"{model_url}{base}/chat/completions",
        json={"model": "instant", "messages": [{"role": "user", "content": "hello"}]},
    )
    text: str = answer.json()["choices"][0]["message"]["content"]
    return text


@DBOS.workflow()
async def noop(n: int) -> int:
    """No steps at all."""
    return n + 1


@DBOS.workflow()
async def ten(n: int) -> int:
    """Ten steps in a row."""
    for _ in range(10):
        n = await add(n)
    return n


@DBOS.workflow()
async def llm3(n: int) -> list[str]:
    """Three model calls in a row."""
    return [await call("/v1") for _ in range(3)]


@DBOS.workflow()
async def fan20(n: int) -> list[str]:
    """Twenty slow calls side by side."""
    return list(await asyncio.gather(*(call("/lat/100/v1") for _ in range(20))))


WORKFLOWS: dict[str, Any] = {"/noop": noop, "/pure_10": ten, "/llm_3": llm3, "/fan_20": fan20}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Run the workflow of a path, and answer with its result."""
    if scope["type"] != "http":
        return
    workflow = WORKFLOWS.get(scope["path"])
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    status, said = 404, {}
    if workflow is not None:
        status, said = 200, {"result": await workflow(json.loads(body)["n"])}
    content = json.dumps(said).encode()
    length = str(len(content)).encode()
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-length", length), (b"content-type", b"application/json")],
        }
    )
    await send({"type": "http.response.body", "body": content})


async def main() -> None:
    """Serve until ended."""
    DBOS.launch()
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", lifespan="off")
    )
    await server.serve()


uvloop.run(main())

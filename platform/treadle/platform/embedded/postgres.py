"""PostgreSQL 18 with pgvector under HOME, reached over a Unix socket only.

The server runs in the foreground as the supervisor's child. Its data is kept by the user who may
enter the socket's folder, so no password is needed.
"""

import asyncio
import os
import shutil
import subprocess
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from signal import SIGINT
from urllib.parse import quote

import psycopg
from psycopg import sql

from treadle.platform.embedded.account import Account
from treadle.platform.embedded.errors import ClusterNotMade
from treadle.platform.embedded.home import Home
from treadle.platform.embedded.pid_file import end_previous_postgres, says_ready
from treadle.platform.embedded.program import Program
from treadle.platform.embedded.sockets import socket_folder
from treadle.platform.embedded.wheels import POSTGRES_MAJOR, postgres_install

SUPERUSER = "postgres"
DATABASE = "treadle"
_SOCKET_NAME = ".s.PGSQL.5432"

# research: group commit makes durable commits cheap; JIT never pays for queries this short; this
# build has no lz4. shared_buffers is address space until it is used.
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "wal_compression": "pglz",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "jit": "off",
    "io_workers": "1",
    "autovacuum_vacuum_scale_factor": "0.02",
    "log_checkpoints": "off",
    "log_line_prefix": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(frozen=True, slots=True)
class Postgres:
    """A prepared server: its data exists, nothing of an earlier one is in the way."""

    data: Path
    sockets: Path
    account: Account | None
    opened: tuple[Path, ...]
    """Folders that the server's user was newly allowed to pass."""

    @property
    def url(self) -> str:
        """The URL of our database, as its owner."""
        return self._url(DATABASE)

    def program(self) -> Program:
        """Describe the server. SIGINT is its fast, clean shutdown."""
        settings = {**SETTINGS, "unix_socket_directories": str(self.sockets)}
        options = [part for item in settings.items() for part in ("-c", "=".join(item))]
        binary = postgres_install() / "bin" / "postgres"
        return Program(
            name="postgres",
            argv=(str(binary), "-D", str(self.data), *options),
            is_ready=self._is_ready,
            account=self.account,
            stop_signal=SIGINT,
            grace=timedelta(seconds=30),
        )

    async def _is_ready(self) -> bool:
        return await asyncio.to_thread(self._answers)

    def _answers(self) -> bool:
        """Ask it something, and make our database if it is missing."""
        if not says_ready(self.data):  # it logs every connection that comes too early
            return False
        try:
            with psycopg.connect(self._url("postgres"), autocommit=True, connect_timeout=2) as link:
                made = link.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
                if made.fetchone() is None:
                    link.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
        except psycopg.OperationalError:
            return False
        return True

    def _url(self, database: str) -> str:
        host = quote(str(self.sockets), safe="/")
        return f"postgresql://{SUPERUSER}@/{database}?host={host}"


def prepare_postgres(home: Home) -> Postgres:
    """Make the data folder at the first start; at later ones clear what a crash left behind.

    Raises:
        EmbeddedError: It cannot run here; the message says why and what to do.
    """
    account = Account.for_postgres()
    opened = _open_folders(home, account)
    data = home.postgres / str(POSTGRES_MAJOR)
    if not (data / "PG_VERSION").exists():
        _make_cluster(data, account)
    end_previous_postgres(data)
    uid, gid = (account.uid, account.gid) if account else (os.geteuid(), os.getegid())
    sockets = socket_folder(home.postgres / "socket", name=_SOCKET_NAME, uid=uid, gid=gid)
    return Postgres(data=data, sockets=sockets, account=account, opened=opened)


def _open_folders(home: Home, account: Account | None) -> tuple[Path, ...]:
    home.postgres.mkdir(mode=0o700, parents=True, exist_ok=True)
    if account is None:
        return ()
    os.chown(home.postgres, account.uid, account.gid)
    install = postgres_install()
    opened = (*account.open_way_to(home.postgres), *account.open_way_to(install.parent))
    if not account.may("x", install / "bin" / "postgres"):
        _share(install)
    return opened


def _share(install: Path) -> None:
    """Let others read and run the wheel's files, which a strict umask may have kept from them."""
    for path in (install, *install.rglob("*")):
        if not path.is_symlink():
            wide = 0o055 if path.is_dir() or path.stat().st_mode & 0o100 else 0o044
            path.chmod(path.stat().st_mode | wide)


def _make_cluster(data: Path, account: Account | None) -> None:
    """Prepare the data beside its place, then move it there: a crash leaves no half of it."""
    draft = data.with_name(f"{data.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    command = [
        str(postgres_install() / "bin" / "initdb"),
        f"--pgdata={draft}",
        f"--username={SUPERUSER}",
        "--auth-local=trust",
        "--auth-host=reject",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
    ]
    made = subprocess.run(
        command,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        cwd="/",
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
        check=False,
        capture_output=True,
        text=True,
    )
    if made.returncode != 0:
        shutil.rmtree(draft, ignore_errors=True)
        raise ClusterNotMade(data, made.stderr.strip() or made.stdout.strip())
    draft.rename(data)

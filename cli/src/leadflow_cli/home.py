"""LEADFLOW_HOME: what a stack keeps on disk, and how other commands find the one that runs.

HOME/lock              held while a stack runs; says who holds it
HOME/running.json      the running stack: pid, URLs, ports; absent or stale when none runs
HOME/up/, HOME/demo/   one folder a stack
    secret             the installation's secret, 0600
    logs/NAME.log      what each child wrote
    kafka/ postgres/ sequencer/
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from leadflow_cli.errors import CliError
from leadflow_cli.processes import started_at

SECRET_BYTES = 32
_CLOCK_TOLERANCE_SECONDS = 2.0


def leadflow_home(environment: Mapping[str, str]) -> Path:
    """`$LEADFLOW_HOME`, `~/.leadflow` unless set."""
    return Path(environment.get("LEADFLOW_HOME") or "~/.leadflow").expanduser().absolute()


def create_home(home: Path) -> Path:
    """Create the folder, readable by its owner alone: leads and secrets are in it."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o700)
    except OSError as error:
        raise CliError(
            f"{home} cannot be used ({error.strerror}): set LEADFLOW_HOME to a folder of yours"
        ) from error
    return home


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone may read, so that it is seen whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_or_create_secret(path: Path) -> str:
    """The random secret that the file keeps, 43 characters that a URL need not quote."""
    with suppress(FileNotFoundError):
        if secret := path.read_text().strip():
            return secret
    secret = secrets.token_urlsafe(SECRET_BYTES)
    write_private(path, f"{secret}\n")
    return secret


@dataclass(frozen=True)
class Running:
    """The stack that runs, as running.json tells it. `database_url` is the superuser's; the
    roles' passwords follow from `secret`.

    `started_at` is the process's creation in epoch seconds: with the pid it names the process,
    so that a pid used again does not pass for a stack.
    """

    name: str
    pid: int
    started_at: float
    home: str
    portal_url: str
    sandbox_url: str
    kafka_bootstrap: str
    database_url: str
    secret: str
    ports: dict[str, int]

    @property
    def folder(self) -> Path:
        """The stack's own folder, with its logs and its secret."""
        return Path(self.home)

    @property
    def alive(self) -> bool:
        created = started_at(self.pid)
        return created is not None and abs(created - self.started_at) < _CLOCK_TOLERANCE_SECONDS


def find_running(home: Path) -> Running | None:
    """The running stack of that home, or None; what a dead one left behind is not believed."""
    try:
        running = Running(**json.loads((home / "running.json").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return running if running.alive else None


def require_running(home: Path) -> Running:
    """The running stack. Raises CliError when none runs."""
    running = find_running(home)
    if running is None:
        raise CliError(f"no leadflow runs (looked in {home}): start one with 'leadflow up'")
    return running


def announce(home: Path, running: Running) -> None:
    """Write running.json for this process, whole or not at all."""
    pid = os.getpid()
    mine = replace(running, pid=pid, started_at=started_at(pid) or 0.0)
    write_private(home / "running.json", json.dumps(asdict(mine), indent=1) + "\n")


def withdraw(home: Path) -> None:
    """Remove running.json."""
    (home / "running.json").unlink(missing_ok=True)


@contextmanager
def locked(home: Path, name: str) -> Iterator[None]:
    """Hold the home's lock while a stack of that name runs; the kernel frees it at our end.

    Raises CliError that says who holds it.
    """
    create_home(home)
    with (home / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise CliError(
                f"leadflow runs already ({holder}) with {home}: stop it, or set LEADFLOW_HOME"
            ) from None
        file.truncate(0)
        file.write(f"'leadflow {name}', pid {os.getpid()}")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)

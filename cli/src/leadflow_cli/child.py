"""One supervised process: what to run, and the running of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from leadflow_cli import launcher
from leadflow_cli.errors import CliError
from leadflow_cli.logs import excerpt, rotate

# Linux ties the death signal to the thread that forked. All children are therefore started from
# one thread that lives as long as this process, whichever thread asks.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


@dataclass(frozen=True)
class Account:
    """The operating system's user that a program runs as."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Program:
    """What to run and how to tell that it is ready.

    `environment` is the whole environment, nothing is inherited. `ready` probes once: True, or
    False or an OSError for "not yet". Programs of a lower `tier` are stopped later.
    `death_signal` is what the process gets when this one dies without stopping it. A program
    that is not `restartable` keeps what matters in its memory.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    ready: Callable[[], bool]
    address: str = ""
    tier: int = 0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 15.0
    ready_seconds: float = 60.0
    death_signal: signal.Signals = signal.SIGKILL
    account: Account | None = None
    directory: Path | None = None
    restartable: bool = True


def spawn(
    command: Sequence[str],
    environment: Mapping[str, str],
    output: IO[bytes],
    *,
    death_signal: signal.Signals = signal.SIGKILL,
    account: Account | None = None,
    directory: Path | None = None,
    stdin: bytes | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own that does not outlive this one."""
    uid, gid = (account.uid, account.gid) if account else (-1, -1)
    prefix = [sys.executable, "-I", "-S", launcher.__file__]
    prefix += [str(int(death_signal)), str(os.getpid()), str(uid), str(gid)]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*prefix, *command],
            env=dict(environment),
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=directory,
        )

    return _spawner.submit(start).result()


def run(
    what: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    *,
    account: Account | None = None,
    directory: Path | None = None,
    stdin: bytes | None = None,
    timeout_seconds: float = 120.0,
) -> None:
    """Run a short program to its end, its output appended to `log`.

    Raises CliError naming `what` and quoting the log when it fails or takes too long.
    """
    with log.open("ab") as output:
        process = spawn(
            command, environment, output, account=account, directory=directory, stdin=stdin
        )
    try:
        process.communicate(stdin, timeout=timeout_seconds)
    except subprocess.TimeoutExpired as error:
        raise CliError(f"{what} took more than {timeout_seconds:.0f} s: see {log}") from error
    finally:
        if process.poll() is None:
            _kill_group(process.pid)
            process.wait()
    if process.returncode != 0:
        raise CliError(f"{what} failed ({ending(process.returncode)}): {excerpt(log)}")


def ending(code: int) -> str:
    """A return code of subprocess in words: `exit code 3`, `killed by SIGKILL`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def _kill_group(pid: int) -> None:
    # The leader may be gone while somebody of its group lives; PermissionError is macOS's word
    # for a group in which only a zombie is left.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


@dataclass
class Child:
    """A started program. `expected` is set once its end was asked for."""

    program: Program
    process: subprocess.Popen[bytes]
    started: float = field(default_factory=time.monotonic)
    ready: threading.Event = field(default_factory=threading.Event)
    expected: bool = False

    @classmethod
    def start(cls, program: Program) -> Child:
        """Start the program, its output in its log; the log of the run before is kept as .1."""
        program.log.parent.mkdir(parents=True, exist_ok=True)
        rotate(program.log)
        with program.log.open("ab") as output:
            process = spawn(
                program.command,
                program.environment,
                output,
                death_signal=program.death_signal,
                account=program.account,
                directory=program.directory,
            )
        return cls(program, process)

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def ask_to_stop(self) -> None:
        """Send the program's own stop signal; it is then expected to end."""
        self.expected = True
        if self.alive:
            with suppress(ProcessLookupError):
                self.process.send_signal(self.program.stop_signal)

    def finish(self, deadline: float) -> bool:
        """Wait for the end until `deadline` (monotonic seconds), then kill the whole group.

        Returns whether it ended by itself.
        """
        self.expected = True
        by_itself = True
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            by_itself = False
        self.kill()
        return by_itself

    def kill(self) -> None:
        """SIGKILL the process and everything it started, and wait until it is gone."""
        self.expected = True
        _kill_group(self.pid)
        self.process.wait()

    def obituary(self) -> str:
        """One clear sentence about a process that ended by itself, with its last words."""
        code = self.process.poll()
        assert code is not None
        when = "" if self.ready.is_set() else " before it was ready"
        words = excerpt(self.program.log)
        if "No space left on device" in words:
            return f"{self.name} stopped{when} because the disk is full: free some space."
        return f"{self.name} stopped{when} ({ending(code)}): {words}"

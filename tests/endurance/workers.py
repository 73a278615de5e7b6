"""Two sequencer processes, one of which is killed at a random moment and started again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from leadflow_cli.processes import free_ports


@dataclass(slots=True)
class Death:
    """When a worker died, who and how; `at` in epoch seconds."""

    at: float
    worker: int
    how: str


class Workers:
    """Ends what it has started when it is left; every process by its own id."""

    def __init__(self, bootstrap: str, group: str, folder: Path, count: int = 2) -> None:
        self.deaths: list[Death] = []
        self._bootstrap = bootstrap
        self._group = group
        self._folder = folder
        self._ports = free_ports(count)
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._starts: dict[int, float] = {}

    def __enter__(self) -> Workers:
        for number in range(len(self._ports)):
            self.start(number)
        return self

    def __exit__(self, *_error: object) -> None:
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start(self, number: int) -> None:
        environment = {
            **os.environ,
            "LEADFLOW_KAFKA_BOOTSTRAP": self._bootstrap,
            "LEADFLOW_GROUP": self._group,
            "LEADFLOW_DATA_DIR": str(self._folder / f"data-{number}"),
            "LEADFLOW_HEALTH_PORT": str(self._ports[number]),
        }
        with (self._folder / f"worker-{number}.log").open("ab") as log:
            self._running[number] = subprocess.Popen(
                [sys.executable, "-m", "sequencer"], env=environment, stdout=log, stderr=log
            )

    def alive(self) -> list[int]:
        return sorted(self._running)

    def kill(self, number: int, *, wipe: bool, restart_after: float) -> None:
        """SIGKILL. `wipe` takes its rows away too, as when a machine is lost."""
        process = self._running.pop(number)
        process.kill()
        process.wait()
        how = "killed, with its rows" if wipe else "killed"
        self.deaths.append(Death(time.time(), number, how))
        if wipe:
            shutil.rmtree(self._folder / f"data-{number}", ignore_errors=True)
        self._starts[number] = time.monotonic() + restart_after

    def tend(self) -> None:
        """Start whoever is to be started; note who ended by itself and start it as well, as
        a supervisor would."""
        for number, process in tuple(self._running.items()):
            if (code := process.poll()) is not None:
                del self._running[number]
                self.deaths.append(Death(time.time(), number, f"ended by itself with {code}"))
                self._starts[number] = time.monotonic() + 1.0
        for number, at in tuple(self._starts.items()):
            if time.monotonic() >= at:
                del self._starts[number]
                self.start(number)

    def ready(self) -> int:
        """How many own their partitions and have recovered them."""
        return sum(self._is_ready(self._ports[number]) for number in self._running)

    @staticmethod
    def _is_ready(port: int) -> bool:
        with suppress(OSError):
            url = f"http://127.0.0.1:{port}/readyz"
            with urllib.request.urlopen(url, timeout=2) as answer:
                return bool(answer.status == 200)
        return False

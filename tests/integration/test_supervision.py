"""No child outlives its stack, however that ends; and a dead child is told in one sentence."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from leadflow_cli.child import Program
from leadflow_cli.errors import ChildDied, CliError, NotReady
from leadflow_cli.ports import check_ports
from leadflow_cli.processes import free_ports, process_name
from leadflow_cli.supervisor import RESTARTS_IN_A_ROW, Supervisor

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
STAY = "import signal\nprint('here', flush=True)\nsignal.pause()\n"

# A stack of two tiers, as its own process: told to end, it writes what it did into a file.
PARENT = """
import json, os, sys
from pathlib import Path
from leadflow_cli.child import Program
from leadflow_cli.errors import Interrupted
from leadflow_cli.supervisor import Supervisor, interrupted_by_signals

folder = Path(sys.argv[1])
child = '''
import signal, sys, subprocess
grandchild = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
def leave(*_):
    with open(sys.argv[1], "a") as story:
        print(sys.argv[2], file=story)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print(grandchild.pid, flush=True)
signal.pause()
'''
def program(name, tier):
    log = folder / f"{name}.log"
    command = [sys.executable, "-c", child, str(folder / "story"), name]
    return Program(name, command, dict(os.environ), log, lambda: bool(log.read_text()), tier=tier)

supervisor = Supervisor()
with interrupted_by_signals(supervisor):
    try:
        children = supervisor.start(program("server", 0), program("service", 1))
        pids = [child.pid for child in children]
        pids += [int((folder / f"{name}.log").read_text()) for name in ("server", "service")]
        print(json.dumps(pids), flush=True)
        supervisor.watch()
    except Interrupted:
        pass
    finally:
        supervisor.stop_all()
"""


def until(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Wait for a condition; fail with `what` after the deadline."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, what
        pause.wait(0.02)


def python(name: str, code: str, folder: Path, **more: object) -> Program:
    """A child that runs `code` and is ready once it wrote something."""
    log = folder / f"{name}.log"

    def wrote() -> bool:
        return bool(log.read_text())

    options: dict[str, object] = {"ready": wrote, "ready_seconds": 20.0} | more
    command = [sys.executable, "-c", code]
    return Program(name, command, dict(os.environ), log, **options)  # type: ignore[arg-type]


@pytest.fixture
def supervisor():  # type: ignore[no-untyped-def]
    supervisor = Supervisor()
    yield supervisor
    supervisor.kill_all()
    supervisor.stop_all()


def start_parent(folder: Path) -> tuple[subprocess.Popen[bytes], list[int]]:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder)], stdout=subprocess.PIPE, cwd=folder
    )
    assert parent.stdout is not None
    with parent.stdout:
        pids: list[int] = json.loads(parent.stdout.readline())
    assert all(process_name(pid) for pid in pids)
    return parent, pids


def gone(pids: list[int]) -> bool:
    return not any(process_name(pid) for pid in pids)


def test_no_child_survives_when_the_parent_is_killed(tmp_path: Path) -> None:
    parent, pids = start_parent(tmp_path)
    parent.kill()
    parent.wait(10)
    try:
        until(lambda: gone(pids[:2]), "a child outlived its parent")
    finally:
        for pid in pids[2:]:  # a service starts no process of its own; these do, to test stopping
            if process_name(pid):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything_in_reverse_order(tmp_path: Path, number: signal.Signals) -> None:
    parent, pids = start_parent(tmp_path)
    parent.send_signal(number)
    assert parent.wait(20) == 0
    assert gone(pids), "a process was left behind"
    assert (tmp_path / "story").read_text().split() == ["service", "server"]


def test_a_child_that_does_not_stop_is_killed_after_its_deadline(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(said.append)
    (child,) = supervisor.start(python("deaf", STUBBORN + STAY, tmp_path, stop_seconds=0.2))
    supervisor.stop_all()
    assert gone([child.pid])
    assert child.process.returncode == -signal.SIGKILL
    assert "deaf" in said[-1]
    assert "was killed" in said[-1]


def test_a_child_that_dies_at_start_is_told_with_its_last_words(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    code = "print('ERROR no route to the moon'); print('bye'); raise SystemExit(3)"
    with pytest.raises(ChildDied) as death:
        supervisor.start(python("rocket", code, tmp_path, ready=lambda: False))
    told = str(death.value)
    assert told.startswith("rocket stopped before it was ready (exit code 3): ")
    assert told.index("no route to the moon") < told.index("bye")
    assert str(tmp_path / "rocket.log") in told


def test_a_child_that_dies_later_ends_the_watch(tmp_path: Path, supervisor: Supervisor) -> None:
    children = supervisor.start(python("one", STAY, tmp_path), python("two", STAY, tmp_path))
    os.kill(children[1].pid, signal.SIGKILL)
    with pytest.raises(ChildDied, match=r"^two stopped \(killed by SIGKILL\)"):
        supervisor.watch()


def test_a_full_disk_is_recognised_in_what_a_dead_child_wrote(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    code = "raise SystemExit('java.io.IOException: No space left on device')"
    with pytest.raises(ChildDied, match="disk is full: free some space"):
        supervisor.start(python("kafka", code, tmp_path, ready=lambda: False))


def test_a_child_that_never_gets_ready_is_told_after_its_deadline(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    with pytest.raises(NotReady, match="slow was not ready after 0 s"):
        supervisor.start(python("slow", STAY, tmp_path, ready=lambda: False, ready_seconds=0.2))


def test_a_program_that_does_not_exist_is_told(tmp_path: Path, supervisor: Supervisor) -> None:
    missing = Program("ghost", ["/no/such/thing"], {}, tmp_path / "ghost.log", lambda: False)
    with pytest.raises(ChildDied, match="cannot start /no/such/thing: No such file"):
        supervisor.start(missing)


def test_a_killed_child_can_be_started_again_and_is_not_reported(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    program = python("intake", STAY, tmp_path)
    (first,) = supervisor.start(program)
    supervisor.kill("intake")
    assert gone([first.pid])
    (second,) = supervisor.start(program)
    assert second.alive
    with pytest.raises(CliError, match="intake runs already"):
        supervisor.launch(program)
    threading.Timer(0.3, supervisor.interrupt).start()
    supervisor.watch()


def test_a_dead_child_is_started_again_when_that_is_asked_for(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    (first,) = supervisor.start(python("intake", STAY, tmp_path))
    failures: list[BaseException] = []

    def watch() -> None:
        try:
            supervisor.watch(restart=True)
        except BaseException as error:
            failures.append(error)

    watching = threading.Thread(target=watch)
    watching.start()
    os.kill(first.pid, signal.SIGKILL)
    until(lambda: supervisor.child("intake").pid != first.pid, "it was not started again")
    until(lambda: supervisor.child("intake").ready.is_set(), "it did not become ready")
    supervisor.interrupt()
    watching.join(10)
    assert not failures


def test_a_child_that_dies_before_it_is_ready_again_is_started_once_more(
    tmp_path: Path, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that comes back before its database does."""
    monkeypatch.setattr("leadflow_cli.supervisor.RESTART_AFTER_SECONDS", 0.01)
    starts = tmp_path / "starts"
    code = (
        "import pathlib\n"
        f"story = pathlib.Path({str(starts)!r})\n"
        "with story.open('a') as file: file.write('x')\n"
        "if 1 < len(story.read_text()) < 4: raise SystemExit(2)\n"
    )
    (first,) = supervisor.start(python("intake", code + STAY, tmp_path, ready=lambda: said(starts)))
    os.kill(first.pid, signal.SIGKILL)
    first.process.wait(10)
    watching = threading.Thread(target=supervisor.watch, kwargs={"restart": True})
    watching.start()
    until(lambda: starts.read_text() == "xxxx", "it was not started once more")
    until(lambda: supervisor.child("intake").ready.is_set(), "it did not become ready")
    supervisor.interrupt()
    watching.join(10)


def said(starts: Path) -> bool:
    """Whether the first or the fourth run is under way."""
    return starts.exists() and len(starts.read_text()) in (1, 4)


def test_a_child_that_dies_again_and_again_ends_the_watch_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leadflow_cli.supervisor.RESTART_AFTER_SECONDS", 0.01)
    told: list[str] = []
    supervisor = Supervisor(told.append)
    (first,) = supervisor.start(python("intake", STAY, tmp_path))
    os.kill(first.pid, signal.SIGKILL)
    first.process.wait(10)
    first.program = python(
        "intake", "raise SystemExit('no such table')", tmp_path, ready=lambda: False
    )
    with pytest.raises(ChildDied, match=r"(?s)^intake stopped before it was ready .*no such table"):
        supervisor.watch(restart=True)
    assert sum("is started again" in line for line in told) == RESTARTS_IN_A_ROW
    supervisor.stop_all()


def test_a_child_started_from_a_thread_outlives_that_thread(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    starting = threading.Thread(target=supervisor.start, args=(python("p", STAY, tmp_path),))
    starting.start()
    starting.join(20)
    with pytest.raises(subprocess.TimeoutExpired):
        supervisor.child("p").process.wait(0.3)


def test_a_port_that_another_program_holds_is_said_with_its_owner() -> None:
    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", port)):
        name = process_name(os.getpid())
        with pytest.raises(CliError) as refusal:
            check_ports([("portal", port)])
    assert str(refusal.value) == (
        f"port {port} is in use by another program (pid {os.getpid()}, {name}): "
        "stop it, or set LEADFLOW_PORTAL_PORT"
    )
    check_ports([("portal", port)])

"""Starts programs, waits until they are ready, watches them, and leaves none behind."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType

from leadflow_cli.child import Child, Program
from leadflow_cli.errors import ChildDied, CliError, Interrupted, NotReady
from leadflow_cli.flag import Flag
from leadflow_cli.logs import excerpt

PROBE_EVERY_SECONDS = 0.05
WATCH_EVERY_SECONDS = 0.2
RESTARTS_IN_A_ROW = 5
STEADY_SECONDS = 60.0
RESTART_AFTER_SECONDS = 0.5  # the second time in a row, and twice as long each time after that

Say = Callable[[str], None]


def quiet(_line: str) -> None:
    """Say nothing (for tests and embedding)."""


class Supervisor:
    """Owns the children that it launched. May be used from several threads."""

    def __init__(self, say: Say = quiet) -> None:
        self._say = say
        self._children: dict[str, Child] = {}
        self._lock = threading.Lock()
        self._interrupted = Flag()
        self._failures: dict[str, int] = {}

    @property
    def children(self) -> list[Child]:
        """The children in the order in which they were launched."""
        with self._lock:
            return list(self._children.values())

    def child(self, name: str) -> Child:
        """The child of that name. Raises CliError when there is none."""
        with self._lock:
            found = self._children.get(name)
        if found is None:
            raise CliError(f"no part is called {name}; there are {', '.join(self._children)}")
        return found

    def launch(self, program: Program) -> Child:
        """Start a program without waiting for it. Raises Interrupted after `interrupt`."""
        with self._lock:
            if self._interrupted.is_set():
                raise Interrupted(f"{program.name} was not started: everything is being stopped")
            running = self._children.get(program.name)
            if running is not None and running.alive:
                raise CliError(f"{program.name} runs already (pid {running.pid})")
            child = Child.start(program)
            self._children[program.name] = child
            return child

    def await_ready(self, child: Child) -> None:
        """Wait until the child is ready and say so with the seconds it took.

        Raises ChildDied, NotReady (after the program's `ready_seconds`) or Interrupted.
        """
        program = child.program
        while True:
            if not child.alive:
                raise ChildDied(child.obituary())
            try:
                ready = program.ready()
            except OSError:
                ready = False
            took = time.monotonic() - child.started
            if ready:
                break
            if took > program.ready_seconds:
                raise NotReady(
                    f"{child.name} was not ready after {took:.0f} s: {excerpt(program.log)}"
                )
            if self._interrupted.wait(PROBE_EVERY_SECONDS):
                raise Interrupted(f"stopped while waiting for {child.name}")
        child.ready.set()
        self._say(f"{child.name:<12} ready in {took:4.1f} s   {program.address}".rstrip())

    def start(self, *programs: Program) -> list[Child]:
        """Launch programs side by side and wait until all of them are ready."""
        children = [self.launch(program) for program in programs]
        self.together(*(partial(self.await_ready, child) for child in children))
        return children

    def together(self, *tasks: Callable[[], object]) -> None:
        """Run blocking tasks side by side; the first failure is raised at once.

        A task that still runs then is left to a daemon thread: it cannot launch anything once
        `interrupt` was called, and it does not hold up the end of the process.
        """
        finished = threading.Condition()
        pending = len(tasks)
        failures: list[BaseException] = []

        def work(task: Callable[[], object]) -> None:
            nonlocal pending
            failure: BaseException | None = None
            try:
                task()
            except BaseException as error:
                failure = error
            with finished:
                pending -= 1
                if failure is not None:
                    failures.append(failure)
                finished.notify()

        for task in tasks:
            threading.Thread(target=work, args=(task,), daemon=True).start()
        with finished:
            while pending and not failures and not self._interrupted.is_set():
                finished.wait(WATCH_EVERY_SECONDS)
        if failures:
            raise failures[0]
        if pending:
            raise Interrupted("stopped while starting")

    def watch(self, *, restart: bool = False) -> None:
        """Return when interrupted; until then see to it that the children live.

        Raises ChildDied as soon as one ended by itself. With `restart` one that is restartable
        is started again instead, until it died RESTARTS_IN_A_ROW times within STEADY_SECONDS of
        each start.
        """
        while not self._interrupted.wait(WATCH_EVERY_SECONDS):
            self._look_after(restart=restart)

    def pause(self, seconds: float, *, restart: bool = False) -> None:
        """What `watch` does, for so long, between other work. Raises Interrupted as well."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self._interrupted.wait(min(left, WATCH_EVERY_SECONDS)):
                raise Interrupted("stopped")
            self._look_after(restart=restart)

    def _look_after(self, *, restart: bool) -> None:
        for child in self.children:
            if child.alive or child.expected:
                continue
            if not (restart and child.program.restartable and self._restart(child)):
                raise ChildDied(self.child(child.name).obituary())

    def _restart(self, child: Child) -> bool:
        """Whether it lives again; a start that fails counts as a death."""
        while True:
            steady = child.ready.is_set() and time.monotonic() - child.started > STEADY_SECONDS
            failures = 1 if steady else self._failures.get(child.name, 0) + 1
            self._failures[child.name] = failures
            if failures > RESTARTS_IN_A_ROW:
                return False
            self._say(child.obituary())
            self._say(f"{child.name:<12} is started again")
            delay = RESTART_AFTER_SECONDS * 2 ** (failures - 2) if failures > 1 else 0.0
            if self._interrupted.wait(delay):
                raise Interrupted(f"stopped before {child.name} was started again")
            child = self.launch(child.program)
            try:
                self.await_ready(child)
            except ChildDied:
                continue
            return True

    def interrupt(self) -> None:
        """End every wait, now and from now on; launching is refused. Safe in a signal handler."""
        self._interrupted.set()

    def kill(self, name: str) -> None:
        """SIGKILL a child, as a crash would; it is not reported by `watch`."""
        self.child(name).kill()

    def stop(self, name: str) -> None:
        """Stop one child gracefully, killing it after its `stop_seconds`."""
        self._stop([self.child(name)])

    def stop_all(self) -> None:
        """Stop every child, the highest tier first and each tier side by side; idempotent."""
        self.interrupt()
        with self._lock:
            children = list(self._children.values())
        for tier in sorted({child.program.tier for child in children}, reverse=True):
            self._stop([child for child in reversed(children) if child.program.tier == tier])

    def kill_all(self) -> None:
        """SIGKILL every child at once, for somebody who presses Ctrl-C a second time."""
        self.interrupt()
        for child in list(self._children.values()):
            child.process.kill()

    def _stop(self, children: Sequence[Child]) -> None:
        asked = time.monotonic()
        for child in children:
            child.ask_to_stop()
        for child in children:
            if not child.finish(asked + child.program.stop_seconds):
                self._say(
                    f"{child.name:<12} did not stop within {child.program.stop_seconds:.0f} s "
                    "and was killed"
                )


@contextmanager
def interrupted_by_signals(supervisor: Supervisor) -> Iterator[None]:
    """Within it SIGINT, SIGTERM and SIGHUP interrupt the supervisor; the second one kills.

    Only for the main thread. The handlers from before are put back at the end.
    """
    asked = False

    def handle(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            supervisor.kill_all()
        asked = True
        supervisor.interrupt()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, handle) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)

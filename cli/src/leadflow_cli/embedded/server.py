"""What the embedded servers have in common: used alone (tests) or within a stack."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from leadflow_cli.child import Child, Program
from leadflow_cli.ports import check_ports
from leadflow_cli.supervisor import Say, Supervisor, quiet


class EmbeddedServer(ABC):
    """A server in a child process. `with` starts and stops it; a stack supervises it itself."""

    def __init__(self, say: Say = quiet) -> None:
        self._say = say
        self._supervisor: Supervisor | None = None

    @abstractmethod
    def prepare(self) -> None:
        """Bring about what the server needs on disk; idempotent, blocking, starts nothing."""

    @abstractmethod
    def program(self) -> Program:
        """What to run, after `prepare`."""

    @abstractmethod
    def ports(self) -> list[tuple[str, int]]:
        """The ports it will listen on, each with its name in `Ports`."""

    def start(self) -> Child:
        """Prepare, start and wait until ready. Raises CliError; then nothing is left running."""
        check_ports(self.ports())
        self.prepare()
        supervisor = Supervisor(self._say)
        self._supervisor = supervisor
        try:
            return supervisor.start(self.program())[0]
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server gracefully, with a deadline; does nothing when it does not run."""
        if self._supervisor is not None:
            self._supervisor.stop_all()
            self._supervisor = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.stop()

"""Everything together: Kafka and PostgreSQL, topics and schemas, the sandbox, five services."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from leadflow_cli.child import Program
from leadflow_cli.disk import check_disk
from leadflow_cli.embedded.kafka import KafkaServer
from leadflow_cli.embedded.postgres import PostgresServer
from leadflow_cli.embedded.server import EmbeddedServer
from leadflow_cli.home import Running, announce, locked, read_or_create_secret, withdraw
from leadflow_cli.ports import Ports, check_ports
from leadflow_cli.prepare import derived_passwords, prepare_database, prepare_topics
from leadflow_cli.processes import free_ports
from leadflow_cli.services import (
    HOST,
    SANDBOX,
    SERVICES,
    Surroundings,
    sandbox_program,
    service_of,
    service_program,
)
from leadflow_cli.supervisor import Say, Supervisor, quiet

ALL = (SANDBOX, *SERVICES)


class Stack:
    """One stack of a LEADFLOW_HOME; `home/name` is its folder. Used once: start, then stop.

    `parts` are the sandbox and the services to run, `sequencer-2` being a second sequencer;
    Kafka and PostgreSQL always belong to it, embedded unless the environment names others.
    A `fresh` one forgets what an earlier one of that name kept in its folder.
    """

    def __init__(
        self,
        home: Path,
        *,
        name: str = "up",
        ports: Ports | None = None,
        parts: Sequence[str] = ALL,
        fresh: bool = False,
        environment: Mapping[str, str] | None = None,
        say: Say = quiet,
    ) -> None:
        self.home = home.absolute()
        self.name = name
        self.folder = self.home / name
        self.environment = dict(os.environ if environment is None else environment)
        self.ports = ports or Ports.from_environment(self.environment)
        self.supervisor = Supervisor(say)
        self._say = say
        self._parts = tuple(parts)
        self._fresh = fresh
        self._instance_ports: dict[str, int] = {}
        self._open = ExitStack()
        logs = self.folder / "logs"
        self._servers: dict[str, EmbeddedServer] = {}
        self.kafka_bootstrap = self.environment.get("LEADFLOW_KAFKA_BOOTSTRAP", "")
        if not self.kafka_bootstrap:
            kafka = KafkaServer(
                self.folder / "kafka",
                port=self.ports.kafka,
                controller_port=self.ports.kafka_controller,
                log=logs / "kafka.log",
                say=say,
            )
            self._servers["kafka"] = kafka
            self.kafka_bootstrap = kafka.bootstrap
        self._postgres: PostgresServer | None = None
        if not self.environment.get("LEADFLOW_DATABASE_URL"):
            self._postgres = PostgresServer(
                self.folder / "postgres",
                port=self.ports.postgres,
                log=logs / "postgres.log",
                say=say,
            )
            self._servers["postgres"] = self._postgres

    @property
    def database_url(self) -> str:
        """An administrator's URL of the database."""
        if self._postgres is not None:
            return self._postgres.url
        return self.environment["LEADFLOW_DATABASE_URL"]

    @property
    def secret(self) -> str:
        """LEADFLOW_SECRET, or the home's own random one."""
        return self.environment.get("LEADFLOW_SECRET") or read_or_create_secret(
            self.folder / "secret"
        )

    @property
    def portal_url(self) -> str:
        return f"http://{HOST}:{self.ports.portal}"

    @property
    def sandbox_url(self) -> str:
        return f"http://{HOST}:{self.ports.sandbox}"

    def start(self, *names: str) -> None:
        """Start everything, or the named parts of a stack that runs (again); wait until ready.

        Raises CliError; when everything was being started, nothing is left running then.
        """
        if names:
            for name in names:
                self._prepare(name)
            self.supervisor.start(*(self._program(name) for name in names))
            return
        try:
            self._start_everything()
        except BaseException:
            self.stop()
            raise

    def pause(self, seconds: float, *, restart: bool = False) -> None:
        """Wait so long, and see to the parts meanwhile. Raises Interrupted or ChildDied."""
        self.supervisor.pause(seconds, restart=restart)

    def wait(self, *, restart: bool = False) -> None:
        """Until the supervisor is interrupted, or a part died: then raises ChildDied."""
        self.supervisor.watch(restart=restart)

    def kill(self, name: str) -> None:
        """SIGKILL a part, as a crash would. `start(name)` brings it back."""
        self.supervisor.kill(name)

    def stop(self, *names: str) -> None:
        """Stop the named parts, or everything, gracefully and with a deadline; idempotent."""
        if names:
            for name in names:
                self.supervisor.stop(name)
            return
        self.supervisor.stop_all()
        self._open.close()

    def log(self, name: str) -> Path:
        """Where a part's output is kept."""
        return self.folder / "logs" / f"{name}.log"

    def health_port(self, instance: str) -> int:
        """The port on which an instance of a service answers /readyz and /metrics.

        The first instance has the port of `ports`, a further one a free port of its own.
        """
        service = service_of(instance)
        if instance == service.name:
            return int(getattr(self.ports, service.port))
        if instance not in self._instance_ports:
            (self._instance_ports[instance],) = free_ports(1)
        return self._instance_ports[instance]

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

    def _start_everything(self) -> None:
        began = time.monotonic()
        for part in self._parts:
            if part != SANDBOX:
                service_of(part)  # a wrong name is said before anything starts
        self._open.enter_context(locked(self.home, self.name))
        check_disk(self.folder)
        check_ports(self._ports())
        if self._fresh:
            self._forget()
        self.folder.mkdir(parents=True, exist_ok=True)
        first = [name for name in self._parts if name == SANDBOX]
        services = [name for name in self._parts if name != SANDBOX]
        self.supervisor.together(
            self._bring_up_kafka,
            self._bring_up_database,
            *(partial(self.start, name) for name in first),
        )
        self.supervisor.start(*(self._program(name) for name in services))
        announce(self.home, self._running())
        self._open.callback(withdraw, self.home)
        self._say_ready("everything", began, self.portal_url)

    def _forget(self) -> None:
        if self._postgres is not None:
            self._postgres.destroy()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _prepare(self, name: str) -> None:
        if server := self._servers.get(name):
            server.prepare()

    def _program(self, name: str) -> Program:
        if server := self._servers.get(name):
            return server.program()
        if name == SANDBOX:
            return sandbox_program(self.folder, self.ports, self.environment)
        around = Surroundings(
            folder=self.folder,
            ports=self.ports,
            environment=self.environment,
            kafka_bootstrap=self.kafka_bootstrap,
            database_url=self.database_url,
            secret=self.secret,
        )
        return service_program(name, self.health_port(name), around)

    def _ports(self) -> list[tuple[str, int]]:
        wanted = [port for server in self._servers.values() for port in server.ports()]
        for part in self._parts:
            if part == SANDBOX:
                wanted += [("sandbox", self.ports.sandbox), ("smtp_sink", self.ports.smtp_sink)]
            else:
                wanted.append((service_of(part).port, self.health_port(part)))
        return wanted

    def _bring_up_kafka(self) -> None:
        if "kafka" in self._servers:
            self.start("kafka")
        began = time.monotonic()
        created = prepare_topics(self.kafka_bootstrap)
        self._say_ready("topics", began, f"{len(created)} created" if created else "all there")

    def _bring_up_database(self) -> None:
        from leadflow.database import SCHEMAS

        if "postgres" in self._servers:
            self.start("postgres")
        began = time.monotonic()
        packages = {service_of(part).package for part in self._parts if part != SANDBOX}
        prepare_database(self.database_url, derived_passwords(self.secret), packages)
        self._say_ready("schemas", began, ", ".join(SCHEMAS.values()))

    def _say_ready(self, what: str, began: float, detail: str) -> None:
        self._say(f"{what:<12} ready in {time.monotonic() - began:4.1f} s   {detail}")

    def _running(self) -> Running:
        return Running(
            name=self.name,
            pid=0,
            started_at=0.0,
            home=str(self.folder),
            portal_url=self.portal_url,
            sandbox_url=self.sandbox_url,
            kafka_bootstrap=self.kafka_bootstrap,
            database_url=self.database_url,
            secret=self.secret,
            ports=asdict(self.ports),
        )

"""Real Kafka and PostgreSQL for the tests that need them, one pair a run.

`LEADFLOW_TEST_KAFKA` says where they come from: `container` (testcontainers, needs a Docker
engine), `embedded` (the servers of `leadflow up`), or `running`: those that
`LEADFLOW_TEST_KAFKA_BOOTSTRAP` and `LEADFLOW_TEST_DATABASE_URL` name. Without it, containers
where an engine answers, else embedded. Nothing is ever skipped for want of a server.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from shutil import which
from typing import Any, NamedTuple

import pytest
from hypothesis import settings

# pytest names a test module by its folders. The folder `sandbox` has the name of the package
# in it: unless the package is imported first, the folder would take its place.
import sandbox  # noqa: F401

# A slow machine is no failure: how long an example takes is not what a test says.
settings.register_profile("leadflow", deadline=None)
settings.load_profile("leadflow")

KAFKA_IMAGE = "apache/kafka:4.1.1"
POSTGRES_IMAGE = "postgres:18"


class Servers(NamedTuple):
    bootstrap: str
    admin_url: str


def where() -> str:
    """container, embedded or running."""
    choice = os.environ.get("LEADFLOW_TEST_KAFKA", "")
    if choice not in ("", "container", "embedded", "running"):
        raise pytest.UsageError(
            f"LEADFLOW_TEST_KAFKA takes container, embedded or running, not {choice!r}"
        )
    if choice:
        return choice
    if "LEADFLOW_TEST_KAFKA_BOOTSTRAP" in os.environ:
        return "running"
    return "container" if _engine_answers() else "embedded"


def _engine_answers() -> bool:
    if which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


@contextmanager
def containers() -> Iterator[Servers]:
    """Kafka and PostgreSQL in containers. Fails where no Docker engine answers."""
    # The helper image that removes containers of a dead run is not needed: ours end here.
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    os.environ.setdefault("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1")
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import ExecWaitStrategy

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kafka = (
        DockerContainer(KAFKA_IMAGE)
        .with_bind_ports(port, port)
        .with_env("KAFKA_NODE_ID", "1")
        .with_env("KAFKA_PROCESS_ROLES", "broker,controller")
        .with_env("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@localhost:9093")
        .with_env("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER")
        .with_env("KAFKA_LISTENERS", f"PLAINTEXT://:{port},CONTROLLER://:9093")
        .with_env("KAFKA_ADVERTISED_LISTENERS", f"PLAINTEXT://127.0.0.1:{port}")
        .with_env(
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"
        )
        .with_env("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1")
        .with_env("KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS", "8")
        .with_env("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1")
        .with_env("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1")
        .with_env("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0")
        .with_env("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
    )
    postgres = (
        DockerContainer(POSTGRES_IMAGE)
        .with_exposed_ports(5432)
        .with_env("POSTGRES_PASSWORD", "test")
        .with_env("POSTGRES_DB", "leadflow")
        # Over TCP: while it initializes itself, the image's server has only a Unix socket.
        .waiting_for(ExecWaitStrategy(["pg_isready", "-h", "127.0.0.1", "-U", "postgres"]))
    )
    with kafka, postgres:
        host_port = postgres.get_exposed_port(5432)
        yield Servers(
            f"127.0.0.1:{port}", f"postgresql://postgres:test@127.0.0.1:{host_port}/leadflow"
        )


@contextmanager
def embedded(folder: Path) -> Iterator[Servers]:
    """The servers that `leadflow up` uses, on free ports and in a folder of the run."""
    from leadflow_cli.embedded.kafka import KafkaServer
    from leadflow_cli.embedded.postgres import PostgresServer
    from leadflow_cli.processes import free_ports

    kafka_port, controller_port, postgres_port = free_ports(3)
    with ExitStack() as stack:
        kafka = stack.enter_context(
            KafkaServer(folder / "kafka", port=kafka_port, controller_port=controller_port)
        )
        postgres = PostgresServer(folder / "postgres", port=postgres_port)
        # As root its data live outside the folder: take them away with it.
        stack.callback(postgres.destroy)
        stack.enter_context(postgres)
        yield Servers(kafka.bootstrap, postgres.url)


def new_servers(folder: Path) -> AbstractContextManager[Servers]:
    return containers() if where() == "container" else embedded(folder)


@pytest.fixture(scope="session")
def own_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """An empty pair for one running system: no other test's records are in its topics."""
    with new_servers(tmp_path_factory.mktemp("own-servers")) as made:
        yield made


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Kafka with the catalogue's topics, PostgreSQL with every service's schema migrated."""
    from leadflow.database import SCHEMAS, migrate, provision, role_url
    from leadflow.kafka.admin import ensure_topics

    with ExitStack() as stack:
        if where() == "running":
            made = Servers(
                os.environ["LEADFLOW_TEST_KAFKA_BOOTSTRAP"],
                os.environ["LEADFLOW_TEST_DATABASE_URL"],
            )
        else:
            made = stack.enter_context(new_servers(tmp_path_factory.mktemp("servers")))
        ensure_topics(made.bootstrap)
        provision(made.admin_url, SECRET)
        for package, role in SCHEMAS.items():
            migrate(package, role_url(made.admin_url, role, SECRET))
        yield made


# The long ones first, so that no worker ends with one while the other has nothing to do. The
# portal's own is before them: one of its tests reads all that the log has. All others of the
# portal come last, one after the other: they are short, and share a portal.
FIRST = (
    "tests/integration/portal/test_portal.py",
    "tests/integration/test_crashes.py",
    "tests/integration/test_failures.py",
    "tests/integration/test_takeover.py",
    "tests/integration/test_demo.py",
    "tests/integration/test_dispatcher.py",
    "tests/integration/test_crm_sync.py",
    "tests/integration/test_frozen_worker.py",
    "tests/integration/test_intake.py",
    "tests/integration/test_sequencer.py",
    "tests/integration/test_recovery.py",
)
LAST = "tests/integration/portal/"
# These share a system of their own: one worker runs them all.
ONE_SYSTEM = frozenset(FIRST[1:4])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def turn(item: pytest.Item) -> int:
        path = item.nodeid.partition("::")[0]
        if path in FIRST:
            return FIRST.index(path) - len(FIRST)
        return int(path.startswith(LAST))

    if any(item.get_closest_marker("integration") for item in items):
        items.sort(key=turn)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """`--dist loadfile`, in the order above."""
    from xdist.scheduler import LoadFileScheduling

    class InTurn(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = super()._split_scope(nodeid)
            return "one system" if path in ONE_SYSTEM else path

    if config.getvalue("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False
    return InTurn(config, log)


# Of the databases that a test run makes and throws away.
SECRET = "dev"  # noqa: S105


@pytest.fixture(scope="session")
def kafka_bootstrap(servers: Servers) -> str:
    return servers.bootstrap


@pytest.fixture(scope="session")
def admin_url(servers: Servers) -> str:
    return servers.admin_url


@pytest.fixture(scope="session")
def secret() -> str:
    return SECRET

"""The embedded servers, alone and as a stack, on free ports and in homes of their own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil  # type: ignore[import-untyped]
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from leadflow_cli.embedded import account
from leadflow_cli.embedded.kafka import KafkaServer
from leadflow_cli.embedded.postgres import PostgresServer
from leadflow_cli.errors import ChildDied, CliError
from leadflow_cli.home import find_running
from leadflow_cli.ports import Ports
from leadflow_cli.processes import free_ports, port_is_free, process_name
from leadflow_cli.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.either_server]


def kafka_in(folder: Path) -> KafkaServer:
    port, controller = free_ports(2)
    return KafkaServer(folder, port=port, controller_port=controller)


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[PostgresServer]:
    (port,) = free_ports(1)
    server = PostgresServer(tmp_path / "postgres", port=port)
    yield server
    server.stop()
    server.destroy()


def produce(bootstrap: str, topic: str, value: bytes) -> None:
    failures: list[object] = []
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    producer.produce(topic, value, on_delivery=lambda error, _message: failures.append(error))
    assert producer.flush(20) == 0
    assert failures == [None]


def first_value(bootstrap: str, topic: str) -> bytes | str | None:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    message = consumer.poll(20)
    consumer.close()
    assert message is not None
    assert message.error() is None
    return message.value()


def test_kafka_keeps_its_records_over_a_restart(tmp_path: Path) -> None:
    with kafka_in(tmp_path) as kafka:
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        for future in admin.create_topics([NewTopic("leads", 1, 1)]).values():
            future.result(20)
        produce(kafka.bootstrap, "leads", b"one lead")
        assert first_value(kafka.bootstrap, "leads") == b"one lead"
    with kafka_in(tmp_path) as again:  # on other ports, too
        assert first_value(again.bootstrap, "leads") == b"one lead"
        unknown = AdminClient({"bootstrap.servers": again.bootstrap}).list_topics("nobody-made-it")
        assert unknown.topics["nobody-made-it"].error is not None
    assert port_is_free(again.port)


def test_kafka_refuses_a_port_in_use_before_it_starts(tmp_path: Path) -> None:
    with kafka_in(tmp_path / "first") as first:
        (controller,) = free_ports(1)
        second = KafkaServer(tmp_path / "second", port=first.port, controller_port=controller)
        with pytest.raises(CliError, match=rf"port {first.port} is in use by another program"):
            second.start()


async def test_postgresql_keeps_its_rows_over_a_restart(postgres: PostgresServer) -> None:
    postgres.start()
    connection = await asyncpg.connect(postgres.url)
    await connection.execute("CREATE TABLE leads (name text)")
    await connection.execute("INSERT INTO leads VALUES ('Jane')")
    await connection.close()
    postgres.stop()
    postgres.start()
    connection = await asyncpg.connect(postgres.url)
    assert await connection.fetchval("SELECT name FROM leads") == "Jane"
    for setting in ("fsync", "synchronous_commit"):
        assert await connection.fetchval("SELECT current_setting($1)", setting) == "on"
    assert await connection.fetchval("SELECT current_database()") == "leadflow"
    await connection.close()


async def test_postgresql_lets_nobody_in_without_the_password(postgres: PostgresServer) -> None:
    postgres.start()
    password = (postgres.home / "password").read_text().strip()
    assert password in postgres.url
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres.url.replace(password, "wrong"))
    assert (postgres.home / "password").stat().st_mode & 0o777 == 0o600


def test_postgresql_never_runs_as_root_and_opens_nobodys_folders(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr(account, "_open_to_others", lambda program: False)
    process = psutil.Process(postgres.start().pid)
    assert process.uids().effective != 0
    assert tmp_path.stat().st_mode & 0o777 == 0o700
    if os.geteuid() == 0:  # then it runs from where its own account may read
        assert account.system_folder() in Path(process.exe()).parents


def test_postgresql_starts_after_a_crash_whose_pid_belongs_to_another_program(
    postgres: PostgresServer,
) -> None:
    postgres.start()
    postgres.stop()
    lock = postgres.home / "server"
    data = next(lock.resolve().rglob("PG_VERSION")).parent
    (data / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n")
    assert postgres.start().alive


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    stack = Stack(tmp_path, ports=Ports.free(), parts=("sandbox",), environment=clean())
    yield stack
    stack.stop()
    PostgresServer(stack.folder / "postgres").destroy()


def clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("LEADFLOW_")}


def test_a_stack_is_found_while_it_runs_and_leaves_nothing(stack: Stack, tmp_path: Path) -> None:
    stack.start()
    running = find_running(tmp_path)
    assert running is not None
    assert running.kafka_bootstrap == stack.kafka_bootstrap
    assert running.folder == tmp_path / "up"
    topics = AdminClient({"bootstrap.servers": running.kafka_bootstrap}).list_topics(timeout=10)
    assert len(topics.topics["lead-events"].partitions) == 12

    other = Stack(tmp_path, name="demo", ports=Ports.free(), parts=(), environment=clean())
    with pytest.raises(CliError, match="leadflow runs already"):
        other.start()
    assert find_running(tmp_path) == running

    stack.kill("sandbox")
    assert port_is_free(stack.ports.sandbox)
    stack.start("sandbox")
    pids = [child.pid for child in stack.supervisor.children]
    stack.stop()
    assert find_running(tmp_path) is None
    assert not any(process_name(pid) for pid in pids)


@pytest.mark.parametrize("part", ["kafka", "postgres"])
def test_a_stack_tells_which_server_died_and_it_can_be_started_again(
    stack: Stack, part: str
) -> None:
    stack.start()
    os.kill(stack.supervisor.child(part).pid, signal.SIGKILL)
    with pytest.raises(ChildDied, match=rf"^{part} stopped \(killed by SIGKILL\)"):
        stack.wait()
    stack.start(part)
    assert stack.supervisor.child(part).alive


def test_a_kafka_and_a_database_that_are_named_are_used_instead(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    postgres.start()
    with kafka_in(tmp_path / "kafka") as kafka:
        named = {
            "LEADFLOW_KAFKA_BOOTSTRAP": kafka.bootstrap,
            "LEADFLOW_DATABASE_URL": postgres.url,
        }
        home = tmp_path / "home"
        with Stack(home, ports=Ports.free(), parts=(), environment=clean() | named) as stack:
            assert stack.supervisor.children == []
            running = find_running(home)
            assert running is not None
            assert running.kafka_bootstrap == kafka.bootstrap
            assert running.database_url == postgres.url


def test_a_named_kafka_that_does_not_answer_is_said(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    postgres.start()
    (silent,) = free_ports(1)
    named = {
        "LEADFLOW_KAFKA_BOOTSTRAP": f"127.0.0.1:{silent}",
        "LEADFLOW_DATABASE_URL": postgres.url,
    }
    stack = Stack(tmp_path, ports=Ports.free(), parts=(), environment=clean() | named)
    with pytest.raises(CliError, match=f"no Kafka broker answers at 127.0.0.1:{silent}"):
        stack.start()
    assert find_running(tmp_path) is None


def test_a_named_database_that_does_not_answer_is_said_without_its_password(
    tmp_path: Path,
) -> None:
    (silent,) = free_ports(1)
    url = f"postgresql://me:hidden@127.0.0.1:{silent}/leadflow"
    environment = clean() | {"LEADFLOW_DATABASE_URL": url}
    stack = Stack(tmp_path, ports=Ports.free(), parts=(), environment=environment)
    with pytest.raises(CliError, match=f"the database at .*127.0.0.1:{silent}/leadflow") as told:
        stack.start()
    assert "hidden" not in str(told.value)
    assert find_running(tmp_path) is None

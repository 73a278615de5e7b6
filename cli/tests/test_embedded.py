import json
import os
from pathlib import Path

import pytest
from leadflow_cli import disk
from leadflow_cli.embedded import account
from leadflow_cli.embedded.jars import cached_classpath
from leadflow_cli.embedded.kafka import KafkaServer
from leadflow_cli.errors import CliError


def properties(server: KafkaServer) -> dict[str, str]:
    lines = server.properties().splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_kafka_listens_on_loopback_only(tmp_path: Path) -> None:
    told = properties(KafkaServer(tmp_path, port=1, controller_port=2))
    assert told["listeners"] == "PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2"
    assert told["advertised.listeners"] == "PLAINTEXT://127.0.0.1:1"
    assert told["controller.quorum.voters"] == "1@127.0.0.1:2"


def test_kafka_makes_no_topic_by_itself_and_one_copy_of_its_own(tmp_path: Path) -> None:
    told = properties(KafkaServer(tmp_path))
    assert told["auto.create.topics.enable"] == "false"
    assert told["offsets.topic.replication.factor"] == "1"
    assert told["transaction.state.log.replication.factor"] == "1"
    assert told["transaction.state.log.min.isr"] == "1"
    assert told["group.initial.rebalance.delay.ms"] == "0"


def test_a_cache_counts_only_when_every_jar_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "kafka-4.1.1"
    folder.mkdir()
    assert cached_classpath(tmp_path) == []
    (folder / "a.jar").write_bytes(b"abc")
    (folder / "classpath.json").write_text(json.dumps({"a.jar": 3}))
    assert cached_classpath(tmp_path) == [folder / "a.jar"]
    (folder / "a.jar").write_bytes(b"ab")
    assert cached_classpath(tmp_path) == []


def test_a_normal_user_runs_postgresql_without_another_account(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert account.server_account() is None
    assert account.data_folder(tmp_path / "postgres", None) == tmp_path / "postgres" / "server"


def test_too_small_a_disk_is_said_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(disk, "free_bytes", lambda folder: 1024**3 - 1)
    with pytest.raises(CliError, match="only 1024 MiB are free"):
        disk.check_disk(tmp_path)
    monkeypatch.setattr(disk, "free_bytes", lambda folder: 1024**3)
    disk.check_disk(tmp_path)

import json
import os
from pathlib import Path

import pytest

from leadflow_cli import disk
from leadflow_cli.embedded import account, jars
from leadflow_cli.embedded.jars import cached_classpath
from leadflow_cli.embedded.kafka import KafkaServer
from leadflow_cli.errors import CliError
from leadflow_cli.supervisor import Say, quiet


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


def test_a_cache_that_cannot_be_written_is_named_with_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CliError, match="set XDG_CACHE_HOME"):
        jars.kafka_classpath(quiet, tmp_path / "file" / "cache")


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


def test_a_download_appears_only_when_it_is_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(folder: Path, say: Say) -> None:
        (folder / "half.jar").write_bytes(b"a")
        raise OSError("no route to host")

    def whole(folder: Path, say: Say) -> None:
        (folder / "a.jar").write_bytes(b"abc")
        (folder / "classpath.json").write_text(json.dumps({"a.jar": 3}))

    monkeypatch.setattr(jars, "_download", broken)
    with pytest.raises(CliError, match=r"Kafka 4.1.1 could not be downloaded .*no route to host"):
        jars.kafka_classpath(quiet, tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(jars, "_download", whole)
    assert jars.kafka_classpath(quiet, tmp_path) == [tmp_path / "kafka-4.1.1" / "a.jar"]
    monkeypatch.setattr(jars, "_download", broken)
    assert jars.kafka_classpath(quiet, tmp_path) == [tmp_path / "kafka-4.1.1" / "a.jar"]


def test_what_a_killed_download_left_is_removed_once_it_is_old(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old, young = tmp_path / "kafka-4.1.1.partial-a", tmp_path / "kafka-4.1.1.partial-b"
    for folder in (old, young):
        folder.mkdir()
    os.utime(old, (0, 0))
    monkeypatch.setattr(jars, "_download", lambda folder, say: None)
    jars.kafka_classpath(quiet, tmp_path)
    assert not old.exists()
    assert young.exists()

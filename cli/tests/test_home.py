import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from leadflow_cli.errors import CliError
from leadflow_cli.home import (
    Running,
    announce,
    find_running,
    leadflow_home,
    locked,
    read_or_create_secret,
    require_running,
    withdraw,
)

RUNNING = Running(
    name="up",
    pid=0,
    started_at=0.0,
    home="/somewhere/up",
    portal_url="http://127.0.0.1:8080",
    sandbox_url="http://127.0.0.1:8081",
    kafka_bootstrap="127.0.0.1:19092",
    database_url="postgresql://postgres:pw@127.0.0.1:15432/leadflow",
    secret="s3cret",
    ports={"portal": 8080},
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_home_is_a_folder_in_the_users_home_unless_set(tmp_path: Path) -> None:
    assert leadflow_home({}) == Path.home() / ".leadflow"
    assert leadflow_home({"LEADFLOW_HOME": str(tmp_path)}) == tmp_path


def test_a_secret_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "up" / "secret"
    secret = read_or_create_secret(path)
    assert len(secret) == 43  # 32 bytes in base64 without padding
    assert read_or_create_secret(path) == secret
    assert mode(path) == 0o600
    assert read_or_create_secret(tmp_path / "other") != secret


def test_what_is_announced_is_found_until_it_is_withdrawn(tmp_path: Path) -> None:
    announce(tmp_path, RUNNING)
    found = find_running(tmp_path)
    assert found is not None
    assert found.pid == os.getpid()
    assert replace(found, pid=0, started_at=0.0) == RUNNING
    assert mode(tmp_path / "running.json") == 0o600  # it holds a password
    withdraw(tmp_path)
    assert find_running(tmp_path) is None


def test_a_stack_whose_pid_now_belongs_to_another_process_is_stale(tmp_path: Path) -> None:
    announce(tmp_path, RUNNING)
    path = tmp_path / "running.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps(told | {"started_at": told["started_at"] - 3600}))
    assert find_running(tmp_path) is None


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"pid": 1}'])
def test_a_broken_running_json_is_no_running_stack(tmp_path: Path, content: str) -> None:
    (tmp_path / "running.json").write_text(content)
    assert find_running(tmp_path) is None


def test_a_command_that_needs_a_stack_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(CliError, match=r"no leadflow runs .* start one with 'leadflow up'"):
        require_running(tmp_path)


def test_the_second_stack_says_who_holds_the_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with locked(home, "demo"):
        with (
            pytest.raises(CliError, match=rf"'leadflow demo', pid {os.getpid()}") as refusal,
            locked(home, "up"),
        ):
            pass
        assert "\n" not in str(refusal.value)
    with locked(home, "up"):
        pass
    assert mode(home) == 0o700

"""`leadflow crm`: crm-sync's own commands, in the surroundings of the running one."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from leadflow.database import role_url
from leadflow_cli.commands import crm
from leadflow_cli.home import Running
from leadflow_cli.main import app
from leadflow_cli.ports import Ports

ADMIN = "postgresql://postgres:pw@127.0.0.1:15432/leadflow"


@pytest.mark.parametrize(
    "given",
    [
        ("account", "add", "acme", "hubspot", "--budget", "9/1"),
        ("verify", "--tenant", "acme", "--repair", "--rate", "5/s", "--help"),
    ],
)
def test_it_is_asked_of_crm_sync_with_crm_syncs_rights_and_the_key_of_its_secrets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: tuple[str, ...]
) -> None:
    running = Running(
        name="up",
        pid=1,
        started_at=0.0,
        home=str(tmp_path),
        portal_url="http://127.0.0.1:8080",
        sandbox_url="http://127.0.0.1:8081",
        kafka_bootstrap="127.0.0.1:19092",
        database_url=ADMIN,
        secret="s3cret",
        ports={name: getattr(Ports(), name) for name in Ports.__dataclass_fields__},
    )
    asked: list[tuple[list[str], dict[str, str]]] = []

    def run(command: list[str], *, env: dict[str, str], check: bool) -> Any:
        asked.append((command, env))
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr(crm, "require_running", lambda home: running)
    monkeypatch.setattr(subprocess, "run", run)
    done = CliRunner().invoke(app, ["crm", *given])
    assert done.exit_code == 3
    ((command, env),) = asked
    assert command[-len(given) - 2 :] == ["-m", "crm_sync", *given]
    assert env["LEADFLOW_DATABASE_URL"] == role_url(ADMIN, "crm_sync", "s3cret")
    assert env["LEADFLOW_ACCOUNT_SECRET"]

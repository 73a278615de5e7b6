"""A service whose database is not there, or does not let it in, says so in a line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Literal

import pytest
from sqlalchemy import make_url

from leadflow import database
from leadflow.errors import DatabaseDown, DatabaseError, SettingError

from .dispatching import free_port

pytestmark = [pytest.mark.integration, pytest.mark.either_server]


@pytest.mark.parametrize("package", ["crm_sync", "dispatcher", "intake"])
def test_a_service_waits_for_its_database_without_a_traceback(package: str, tmp_path: Path) -> None:
    port = free_port()
    settings = {
        "LEADFLOW_KAFKA_BOOTSTRAP": f"127.0.0.1:{port}",
        "LEADFLOW_DATABASE_URL": f"postgresql://{package}:hush@127.0.0.1:{port}/leadflow",
        "LEADFLOW_HEALTH_PORT": "0",
        "LEADFLOW_LINK_SECRET": "a secret of more than thirty-two characters",
        "LEADFLOW_MAIL_DOMAIN": "mail.example.com",
    }
    said = tmp_path / "said"
    with said.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", package], env={**os.environ, **settings}, stderr=file
        )
    try:
        deadline, pause = time.monotonic() + 60, threading.Event()
        while said.read_text().count("will look for the database again") < 2:
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < deadline, said.read_text()
            pause.wait(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    lines = [json.loads(line) for line in said.read_text().splitlines()]
    (_, line, *_) = lines
    assert f"the database {package} at 127.0.0.1:{port}/leadflow: " in line["reason"]
    assert "Connect call failed" in line["reason"]
    assert "Traceback" not in said.read_text()
    assert "hush" not in said.read_text()


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("password", "password authentication failed"),
        ("database", 'database "wrong" does not exist'),
    ],
)
def test_who_is_not_let_in_is_told_why(
    admin_url: str, secret: str, part: Literal["password", "database"], words: str
) -> None:
    url = make_url(database.role_url(admin_url, "dispatcher", secret))
    url = url.set(password="wrong") if part == "password" else url.set(database="wrong")
    with pytest.raises(DatabaseDown, match=words) as caught:
        database.migrate("dispatcher", url.render_as_string(hide_password=False))
    assert part == "database" or "wrong" not in str(caught.value)


def test_a_schema_that_is_newer_than_the_program_is_not_waited_for(
    admin_url: str, secret: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its version is one that this program does not have."""
    url = database.role_url(admin_url, "dispatcher", secret)
    database.migrate("dispatcher", url)
    monkeypatch.setattr(database, "files", lambda package: _files(package, tmp_path))
    with pytest.raises(DatabaseError, match="Can't locate revision") as caught:
        database.migrate("dispatcher", url)
    assert not caught.value.retryable


def _files(package: str, empty: Path) -> Path:
    return empty if package == "dispatcher" else Path(database.__file__).parent


@pytest.mark.parametrize("url", ["postgresql", "postgresql://a:hush@db:port/x"])
def test_an_address_that_is_none_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(SettingError, match="LEADFLOW_DATABASE_URL takes") as caught:
        database.migrate("dispatcher", url)
    assert "hush" not in str(caught.value)

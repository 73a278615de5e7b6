"""What is set wrong is found when a worker starts, not when a lead depends on it."""

import subprocess
import sys
from pathlib import Path

import pytest

from leadflow.errors import SettingError
from leadflow.tenants import Tenant
from sequencer.app import WorkerSettings, make_app
from sequencer.folder import only_ours
from sequencer.main import check_calendars


@pytest.mark.parametrize(
    "tenant",
    [
        Tenant(tenant_id="acme", holidays="Atlantis"),
        Tenant(tenant_id="acme", holidays="US-XX"),
        Tenant(tenant_id="acme", send_hours={"sms": "08:00-08:00"}),
    ],
)
def test_a_calendar_that_does_not_exist_stops_the_worker_and_names_the_tenant(
    tenant: Tenant,
) -> None:
    with pytest.raises(SettingError, match="acme"):
        check_calendars({"acme": tenant})


def test_known_holidays_and_hours_are_taken() -> None:
    check_calendars({"acme": Tenant(tenant_id="acme", holidays="US-TX", send_hours={})})


def test_two_workers_in_one_folder_are_refused_and_the_setting_is_named(tmp_path: Path) -> None:
    """The second would delete the first one's index of what is due."""
    with only_ours(tmp_path / "data"), pytest.raises(SettingError, match="LEADFLOW_DATA_DIR"):
        only_ours(tmp_path / "data")


def test_a_folder_is_free_again_when_the_process_that_had_it_was_killed(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, signal, sys; from sequencer.folder import only_ours;"
        "held = only_ours(pathlib.Path(sys.argv[1])); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == -9
    only_ours(tmp_path).close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match="LEADFLOW_DATA_DIR"):
        only_ours(tmp_path / "file" / "data")


def test_a_takeover_of_hours_does_not_make_a_worker_leave_its_group(tmp_path: Path) -> None:
    """Nothing is fetched from the group meanwhile; the watchdog sees that rows come in."""
    app = make_app(WorkerSettings("test", tmp_path, "127.0.0.1:1", 1))
    app.finalize()
    assert app.conf.broker_max_poll_interval >= 24 * 3_600

import sys
from pathlib import Path

import pytest

from leadflow_cli.commands import doctor


@pytest.fixture
def problems(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """What the doctor complains of on an old Python with port 8080 taken."""
    monkeypatch.setattr(sys, "version_info", (3, 10))
    monkeypatch.setattr(doctor, "port_problems", lambda wanted: ["port 8080 is in use"])
    found = doctor.examine({"LEADFLOW_HOME": str(tmp_path / "home")})
    return {finding.what: finding.problem for finding in found if finding.problem}


def test_the_doctor_names_what_is_wrong_and_only_that(problems: dict[str, str]) -> None:
    assert set(problems) == {"python", "ports"}
    assert "3.11 or later is needed" in problems["python"]
    assert problems["ports"] == "port 8080 is in use"


def test_the_doctor_says_which_setting_is_malformed(tmp_path: Path) -> None:
    found = doctor.examine({"LEADFLOW_HOME": str(tmp_path), "LEADFLOW_SANDBOX_PORT": "x"})
    (ports,) = (finding for finding in found if finding.what == "ports")
    assert ports.problem == "LEADFLOW_SANDBOX_PORT is 'x': it must be a port, 1 to 65535"

"""What measurements came to stands in one table at the end, whatever became of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadflow_cli.commands import bench
from leadflow_cli.errors import CliError

NOTES = """
import json, os, sys
with open(os.environ["LEADFLOW_BENCH_FIGURES"], "a") as file:
    file.write(json.dumps(["leads a second", "400", "at least 500", False]) + "\\n")
    file.write(json.dumps(["early", "0", "0", True]) + "\\n")
sys.exit({code})
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(bench, "shipped", lambda _name: tmp_path)
    return tmp_path


def rows(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """The cells of the table, by row."""
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_figures_stand_in_a_table_with_what_they_should_have_been(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "quick.py").write_text(NOTES.format(code=0))
    bench.bench(None)
    assert rows(capsys) == [
        ["leads a second", "at least 500", "400", "no"],
        ["early", "0", "0", "yes"],
    ]


def test_a_measurement_that_fails_keeps_no_other_from_the_table(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "broken.py").write_text("raise SystemExit('no room')")
    (folder / "quick.py").write_text(NOTES.format(code=0))
    with pytest.raises(CliError, match="broken"):
        bench.bench(None)
    assert [row[0] for row in rows(capsys)] == ["broken", "leads a second", "early"]


def test_what_was_noted_before_a_failure_is_shown(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "late.py").write_text(NOTES.format(code=3))
    with pytest.raises(CliError, match="late"):
        bench.bench(["late"])
    assert rows(capsys)[-1][2:] == ["failed with exit code 3, see above", "no"]

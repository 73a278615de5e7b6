"""`leadflow bench`: what the speed claims are measured with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from leadflow_cli.errors import CliError
from leadflow_cli.repository import shipped

SMALL: dict[str, tuple[str, ...]] = {
    "codec": ("--seconds", "0.2"),
    "crm": ("--changes", "1000", "--rounds", "1"),
    "crm_down": ("--rate", "40", "--seconds", "6"),
    "due_index": ("--pending", "10000", "20000"),
    "end_to_end": ("--leads", "500", "--seconds", "5"),
    "halting": ("--replies", "20", "--load", "5"),
    "lateness": ("--rate", "50", "--seconds", "5", "--burst", "5000", "--minutes", "1"),
    "ledger": ("--messages", "300", "--single", "100", "--rounds", "1"),
    "sequencer_events": ("--leads", "1000", "--rounds", "1"),
    "takeover": ("--rows", "20000"),
}
"""Sizes with which each one only shows that it works."""

WIDTH = 150
COLLECTED_IN = "LEADFLOW_BENCH_FIGURES"
"""The variable that tells a measurement where to note its figures (`bench/_figures.py`)."""


class Figure(NamedTuple):
    """What a measurement came to. `reached` is None where there is no aim."""

    what: str
    seen: str
    aim: str
    reached: bool | None


def measured(path: Path, sizes: tuple[str, ...]) -> tuple[int, list[Figure]]:
    """Run one file of bench/: its exit code, and what it noted until it ended."""
    with tempfile.TemporaryDirectory(prefix="leadflow-figures-") as folder:
        collected = Path(folder) / "figures"
        collected.touch()
        ended = subprocess.run(
            [sys.executable, str(path), *sizes],
            env={**os.environ, COLLECTED_IN: str(collected)},
            check=False,
        )
        lines = collected.read_text().splitlines()
    return ended.returncode, [Figure(*json.loads(line)) for line in lines]


def show(figures: list[Figure]) -> None:
    """All figures in one table."""
    table = Table("what", "aim", "seen", "reached")
    for each in figures:
        reached = "" if each.reached is None else "yes" if each.reached else "no"
        table.add_row(each.what, each.aim, each.seen, reached)
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH  # in a file nobody asks for lines of 80
    console.print(table)


def bench(
    names: Annotated[
        list[str] | None, typer.Argument(help="Which ones, by their file's name; else all.")
    ] = None,
    small: Annotated[
        bool, typer.Option("--small", help="Small sizes: to see that they work, not how fast.")
    ] = False,
) -> None:
    """Run the measurements of bench/, one after the other."""
    folder = shipped("bench")
    found = {
        path.stem: path
        for path in sorted(folder.glob("*.py") if folder else [])
        if not path.stem.startswith("_")
    }
    if not found:
        raise CliError("no measurements are installed here: run this from the repository")
    for name in names or found:
        if name not in found:
            raise CliError(f"there is no measurement {name}: there are {', '.join(found)}")
    figures, failed = list[Figure](), []
    for name in names or found:
        print(f"== {name}", flush=True)
        code, noted = measured(found[name], SMALL.get(name, ()) if small else ())
        figures += noted
        if code != 0:
            failed.append(name)
            figures.append(Figure(name, f"failed with exit code {code}, see above", "", False))
    show(figures)
    if failed:
        raise CliError(f"failed: {', '.join(failed)}")

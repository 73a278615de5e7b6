"""`leadflow bench`: what the speed claims are measured with."""

from __future__ import annotations

import subprocess
import sys
from typing import Annotated

import typer

from leadflow_cli.errors import CliError
from leadflow_cli.repository import shipped

SMALL: dict[str, tuple[str, ...]] = {
    "codec": ("--seconds", "0.2"),
    "due_index": ("--pending", "10000", "20000"),
    "end_to_end": ("--leads", "500", "--seconds", "5"),
    "halting": ("--replies", "20", "--load", "5"),
    "lateness": ("--rate", "50", "--seconds", "5", "--burst", "5000", "--minutes", "1"),
    "ledger": ("--messages", "300", "--single", "100", "--rounds", "1"),
    "sequencer_events": ("--leads", "1000", "--rounds", "1"),
    "takeover": ("--rows", "20000"),
}
"""Sizes with which each one only shows that it works."""


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
    failed = []
    for name in names or found:
        print(f"== {name}", flush=True)
        sizes = SMALL.get(name, ()) if small else ()
        if subprocess.run([sys.executable, str(found[name]), *sizes], check=False).returncode != 0:
            failed.append(name)
    if failed:
        raise CliError(f"failed: {', '.join(failed)}")

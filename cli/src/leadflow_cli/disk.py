"""Room on the disk, asked before anything is started."""

from __future__ import annotations

import shutil
from pathlib import Path

from leadflow_cli.errors import CliError

NEEDED_BYTES = 1024**3


def free_bytes(folder: Path) -> int:
    """What is free where the folder is, or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def check_disk(folder: Path) -> None:
    """Raise CliError when less than 1 GiB is free for the folder."""
    free = free_bytes(folder)
    if free < NEEDED_BYTES:
        raise CliError(
            f"only {free / 1024**2:.0f} MiB are free for {folder}: free some space "
            "(1 GiB is needed), or set LEADFLOW_HOME to another disk"
        )

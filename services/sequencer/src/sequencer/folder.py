"""A worker's folder is its own: rows and index of two workers in one would undo each other."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from leadflow.errors import SettingError

LOCK = "in-use"


def only_ours(folder: Path) -> IO[bytes]:
    """Take `folder`, made if there is none, for as long as what is returned stays open; the
    system lets go of it when the process ends, however it ends.

    Raises SettingError if another process has it, or it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("ab")
    except OSError as error:
        raise SettingError(f"LEADFLOW_DATA_DIR: {folder}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise SettingError(
            f"LEADFLOW_DATA_DIR: another sequencer works in {folder}: give each its own folder"
        ) from None
    return lock

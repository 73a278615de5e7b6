"""The log files of children: kept small, and quoted when one dies."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

TAIL_BYTES = 64 * 1024
_ERROR = re.compile(
    r"error|fatal|panic|exception|critical|no space left|cannot|refused|denied", re.IGNORECASE
)
_CONSEQUENCE = re.compile(r"^\s+(at |File |\.\.\. |\^)|^Traceback \(most recent call last\)")


def rotate(log: Path) -> None:
    """Move the log of the run before to NAME.1, so that a log speaks of one run."""
    with suppress(FileNotFoundError):
        log.replace(log.with_name(log.name + ".1"))


def excerpt(log: Path, lines: int = 8) -> str:
    """The last words of a log: lines that speak of an error first, then its last lines.

    Stack frames are left out; the whole is at most `lines` lines, and ends with the path. A
    full disk is always among them when the log speaks of it.
    """
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return f"it has no log ({log})"
    told = [line.rstrip() for line in text.splitlines() if line.strip()]
    told = [line for line in told if not _CONSEQUENCE.search(line)]
    if not told:
        return f"its log says nothing ({log})"
    full = [line for line in told if "No space left on device" in line][:1]
    errors = [line for line in told if _ERROR.search(line)][-(lines // 2) :]
    first = list(dict.fromkeys(full + errors))
    rest = [line for line in told if line not in first][-max(1, lines - len(first)) :]
    return "\n".join(["", *(f"  | {line[:300]}" for line in first + rest), f"  ({log})"])

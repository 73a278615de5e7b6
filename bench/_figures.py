"""What the measurements came to, for the table at the end of `leadflow bench`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from statistics import median

FILE = "LEADFLOW_BENCH_FIGURES"
"""Names the file that collects them; whoever runs one measurement alone needs none."""


def figure(what: str, seen: str, aim: str = "", reached: bool | None = None) -> None:
    """Note a line of the table; `reached` says whether `seen` is as good as `aim`."""
    if path := os.environ.get(FILE):
        with Path(path).open("a") as file:
            file.write(json.dumps([what, seen, aim, reached]) + "\n")


def at_least(what: str, seen: Sequence[float], aim: float, unit: str = "") -> None:
    """Note what each round came to, and whether the median is at least the aim."""
    figure(what, shown(seen, unit), f"at least {_number(aim)}{unit}", median(seen) >= aim)


def shown(rounds: Sequence[float], unit: str = "") -> str:
    """What each round came to."""
    return ", ".join(map(_number, rounds)) + unit


def percentiles(seconds: Sequence[float]) -> str:
    """p50, p99 and the longest, in milliseconds."""
    ordered = sorted(1_000 * each for each in seconds)
    p50, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.5, 0.99))
    return f"p50 {p50:,.0f} ms, p99 {p99:,.0f} ms, max {ordered[-1]:,.0f} ms"


def _number(value: float) -> str:
    return f"{value:,.2f}" if value < 10 else f"{value:,.0f}"

"""Live progress of a follow: one line that changes on a terminal, lines now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

LINE_EVERY_SECONDS = 3.0
SHOWN = (
    ("received", "received"),
    ("normalized", "normalized"),
    ("merged", "merged"),
    ("quarantined", "quarantined"),
    ("dlq", "dead letters"),
    ("enrolled", "enrolled"),
    ("messages_accepted", "messages accepted"),
    ("summaries_pending", "summaries pending"),
)


class Progress:
    """Shows the portal's totals while it is entered; may be entered again and again."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._live: Live | None = None
        self._last = ""
        self._printed = 0.0

    def show(self, totals: Mapping[str, Any], missing: list[str]) -> None:
        """The totals, and the first thing that is waited for."""
        line = describe(totals)
        waiting = f"waiting for: {missing[0]}" if missing else "all accounted for"
        if self._live is not None:
            self._live.update(Text(f"  {line}\n  {waiting}"))
            return
        told = f"  {line} · {waiting}"
        if told != self._last and time.monotonic() - self._printed > LINE_EVERY_SECONDS:
            self._out.print(told, soft_wrap=True)
            self._printed = time.monotonic()
            self._last = told

    def __enter__(self) -> Self:
        if self._out.is_terminal:
            self._live = Live(console=self._out, transient=True, refresh_per_second=8)
            self._live.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def describe(totals: Mapping[str, Any]) -> str:
    """The totals in one line, without those that are nothing."""
    parts = [f"{totals[name]} {word}" for name, word in SHOWN if totals[name]]
    return " · ".join(parts) or "nothing yet"

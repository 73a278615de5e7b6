"""Lines of raw events as `send` takes them: their key, and whether they are raw events at all.

Nothing is mended and nothing is held back: a line that is no raw event is intake's to see and to
put into its dead-letter topic, so it is sent as well, under a key of its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from leadflow.errors import Malformed
from leadflow.raw_json import raw_event_from_json

# The kinds of design.md, "The stable surface", and crm_change, which crm-sync says (ADR 29).
CALLBACKS = frozenset({"delivered", "opened", "clicked", "bounced", "complained"})
KINDS = CALLBACKS | {
    "lead",
    "call_missed",
    "quote_request",
    "stage_change",
    "crm_change",
    "reply",
    "opt_out",
    "opt_in",
    "booking",
    "job_completed",
    "enrichment",
}
_KEYED_BY = ("tenant_id", "source", "external_id")
_NO_MATTER_WHEN = datetime.fromtimestamp(0, UTC)


class Line(NamedTuple):
    """One line of a file: counted from 1, its bytes as given, and what keeps it from being a
    raw event (None: nothing)."""

    number: int
    value: bytes
    problem: str | None


def read_lines(lines: Iterable[bytes]) -> Iterator[Line]:
    """The lines that hold something, without their line ends."""
    for number, line in enumerate(lines, start=1):
        value = line.rstrip(b"\r\n")
        if value.strip():
            yield Line(number, value, problem_of(value))


def problem_of(line: bytes) -> str | None:
    """Why a line is no raw event, in words without anything of its content but a wrong kind."""
    try:
        event = raw_event_from_json(line, _NO_MATTER_WHEN)
    except Malformed as error:
        return str(error)
    return None if event.kind in KINDS else f"there is no kind {event.kind[:40]!r}"


def key_of(line: bytes) -> bytes:
    """`tenant:source:external_id` where the three can be read, else one from the line's hash.

    Lines of one key keep their order; what cannot be read depends on nothing.
    """
    try:
        data: Any = json.loads(line)
    except (ValueError, RecursionError):  # not JSON, or nested without end
        data = None
    if isinstance(data, dict):
        parts = [data.get(name) for name in _KEYED_BY]
        if all(isinstance(part, str) and part.strip() for part in parts):
            return ":".join(map(str, parts)).encode()
    return f"unreadable:{hashlib.sha256(line).hexdigest()[:32]}".encode()


def ranges(numbers: Iterable[int]) -> str:
    """Ascending numbers in short: 1, 4-6, 9."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)

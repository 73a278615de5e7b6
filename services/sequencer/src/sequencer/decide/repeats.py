"""Whether an event has acted on a lead already.

Two things bring one again. A worker that is killed leaves records whose offset was not committed:
whoever takes over reads them once more, however many they are. The records of a lead in a topic are
of one partition and are applied in the order of its offsets (`turns.py`, `causes.py`), so what is
not behind the last one that was applied was there before it.

And a producer that is killed writes once more what it may have written, with the same ids in new
places: intake a whole batch (`intake/handler.py`). Those are told by their ids.
"""

from __future__ import annotations

from leadflow.records.base import changed
from sequencer.model import APPLIED_LIMIT, DIGEST_BYTES, LeadRow, ReadUpTo, digest


def is_one(row: LeadRow, event_id: str, at: ReadUpTo | None) -> bool:
    """Whether the row has applied this event, which was read `at` this place, if in a log."""
    return _was_read(row, at) or _is_known(row.applied, digest(event_id))


def applied(row: LeadRow, event_id: str, at: ReadUpTo | None) -> LeadRow:
    """The row, knowing that this event was applied."""
    marks = row.applied + digest(event_id)
    row = changed(row, applied=marks[-APPLIED_LIMIT * DIGEST_BYTES :])
    if at is None:
        return row
    last = _last(row, at.topic)
    latest = at if last is None else changed(at, latest_ms=max(at.latest_ms, last.latest_ms))
    others = tuple(each for each in row.read if each is not last)
    return changed(row, read=(*others, latest))


def _was_read(row: LeadRow, at: ReadUpTo | None) -> bool:
    """In a log that was made anew, or has lost its end, offsets begin again: what lies there was
    written later than all that was applied before."""
    last = None if at is None else _last(row, at.topic)
    if at is None or last is None:
        return False
    return at.offset <= last.offset and at.latest_ms <= last.latest_ms


def _last(row: LeadRow, topic: str) -> ReadUpTo | None:
    return next((each for each in row.read if each.topic == topic), None)


def _is_known(marks: bytes, mark: bytes) -> bool:
    place = marks.find(mark)
    while place != -1 and place % DIGEST_BYTES:  # across two of them
        place = marks.find(mark, place + 1)
    return place != -1

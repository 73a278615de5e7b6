"""Lets go what waited for a resume: at the rate of its scope, the longest waiting first.

What is held stands in the rows, the rate in the compacted topic: a worker that is started anew
goes on where the one before it ended. A worker that owns k of the n partitions lets go k/n of
the rate, so that all of them together keep it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heappop, heappush
from typing import Protocol

from leadflow.errors import Malformed
from sequencer import rowcodec
from sequencer.decide import released
from sequencer.due import DueIndex
from sequencer.model import Setting
from sequencer.pauses import AutomationPauses

LOOKS = 1_000
"""Rows that one round looks at, so that a million held leads do not stop the event loop."""
ROOM = 10_000
"""Leads of a scope that are kept in order while they wait; the others stay in the index."""
BURST_SECONDS = 2.0

Place = tuple[int, bytes]


class StoredRows(Protocol):
    def get(self, partition: int, key: bytes) -> bytes | None:
        """The row as it was last put."""


@dataclass(slots=True)
class _Scope:
    """What of one scope may go on, by the time for which it was due; `allowed` may go now.
    `more` of it was found than there is room for."""

    waiting: list[tuple[int, Place]] = field(default_factory=list)
    allowed: float = 0.0
    at_ms: int = 0
    more: bool = False


class Resuming:
    """Looks through the held leads after every change, and lets go as many as the rate allows."""

    def __init__(
        self,
        due: DueIndex,
        rows: StoredRows,
        pauses: AutomationPauses,
        setting: Setting,
        partitions: int,
    ) -> None:
        self._due = due
        self._rows = rows
        self._pauses = pauses
        self._setting = setting
        self._partitions = partitions
        self._owned: frozenset[int] = frozenset()
        self._seen: object = None
        self._again = False
        self._looking = False
        self._scopes: dict[str, _Scope] = {}

    def round(self, now: datetime, owned: frozenset[int], changes: object) -> int:
        """Make due what may go on now, and say how many leads that were.

        To be called every second or so. `changes` differs from the last time when a pause or a
        sequence did.
        """
        if owned is not self._owned:
            # The index has forgotten or built anew what was dealt out anew.
            self._owned = owned
            self._again, self._looking = True, False
            for scope in self._scopes.values():
                for _, place in scope.waiting:
                    self._due.hold(*place)
                scope.waiting.clear()
        if changes != self._seen:
            self._seen = changes
            self._again = True
        if not owned:
            return 0  # what is being indexed is looked at when all of it is there
        if self._again and not self._looking:
            self._again, self._looking = False, True
        now_ms = rowcodec.to_ms(now)
        let_go = self._look(now, now_ms) if self._looking else 0
        return let_go + self._let_go(now, now_ms)

    def _look(self, now: datetime, now_ms: int) -> int:
        """Find what may go on among the held; what no pause held goes at once."""
        let_go = 0
        taken = self._due.take_held(LOOKS)
        self._looking = len(taken) == LOOKS
        for place in taken:
            free = self._free(place, now)
            if free is None:
                continue
            due_ms, name = free
            if name is None:
                self._due.put(*place, now_ms, held=False)
                let_go += 1
                continue
            scope = self._scopes.setdefault(name, _Scope(at_ms=now_ms))
            if not scope.waiting:
                # Nobody saves up a rate while nothing waits.
                scope.allowed, scope.at_ms = 0.0, now_ms
            if len(scope.waiting) < ROOM:
                heappush(scope.waiting, (due_ms, place))
            else:
                scope.more = True
                self._due.hold(*place)
        return let_go

    def _let_go(self, now: datetime, now_ms: int) -> int:
        let_go = 0
        for name, scope in tuple(self._scopes.items()):
            if scope.more and len(scope.waiting) < ROOM // 2:
                scope.more, self._again = False, True
            if not scope.waiting:
                del self._scopes[name]
                continue
            share = len(self._owned) / self._partitions
            per_ms = self._pauses.rate(name) * share / 60_000
            most = max(1.0, per_ms * BURST_SECONDS * 1_000)
            scope.allowed = min(most, scope.allowed + max(0, now_ms - scope.at_ms) * per_ms)
            scope.at_ms = now_ms
            in_vain = 0
            while scope.waiting and scope.allowed >= 1 and in_vain < LOOKS:
                _, place = heappop(scope.waiting)
                if self._free(place, now) is None:
                    # Its row changed while it waited, or its scope was paused again.
                    in_vain += 1
                else:
                    self._due.put(*place, now_ms, held=False)
                    scope.allowed -= 1
                    let_go += 1
        return let_go

    def _free(self, place: Place, now: datetime) -> tuple[int, str | None] | None:
        """When a held lead was due and the scope that held it, if it may go on; the scope is
        None where no pause held it. One that is still held goes back to the index, one that is
        not held at all any more is out of it."""
        if place[0] not in self._owned:
            self._due.hold(*place)
            return None
        row_bytes = self._rows.get(*place)
        if row_bytes is None:
            return None
        try:
            row = rowcodec.decode(place[1], row_bytes)
        except Malformed:
            return 0, None  # asked like any other, it becomes a dead letter
        due = released(row, now, self._setting)
        if due is None:
            if row.is_held():
                self._due.hold(*place)
            return None
        return rowcodec.to_ms(due), self._resumed(each.held_by for each in row.live)

    def _resumed(self, holds: Iterable[str]) -> str | None:
        """Of the scopes that were resumed the slowest, if there is one."""
        scopes = [each for each in holds if _is_scope(each) and not self._pauses.is_paused(each)]
        return min(scopes, key=self._pauses.rate, default=None)


def _is_scope(hold: str) -> bool:
    return hold == "everything" or ":" in hold

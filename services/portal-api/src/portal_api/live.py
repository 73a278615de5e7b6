"""Tells open pages that something changed; what it is now they ask for themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from portal_api.projections.crm_changes import CRM_CHANGES
from portal_api.projections.integrations import ACCOUNTS, SYNC_RUNS
from portal_api.projections.rows import Rows
from portal_api.projections.tables import (
    CONTROLS,
    DEAD_LETTERS,
    ENROLLMENTS,
    LEADS,
    MESSAGES,
    RAW_EVENTS,
    SEQUENCES,
    SUMMARIES,
    SUPPRESSIONS,
)

_KINDS = (
    LEADS, SEQUENCES, ENROLLMENTS, MESSAGES, SUMMARIES, CONTROLS, SUPPRESSIONS, RAW_EVENTS,
    DEAD_LETTERS, ACCOUNTS, SYNC_RUNS, CRM_CHANGES,
)  # fmt: skip


@dataclass(slots=True)
class Change:
    """Which kinds of things, and which sequences, changed."""

    kinds: set[str] = field(default_factory=set)
    sequences: set[str] = field(default_factory=set)

    def add(self, other: Change) -> None:
        self.kinds |= other.kinds
        self.sequences |= other.sequences

    def __bool__(self) -> bool:
        return bool(self.kinds)


def changes_of(rows: Rows) -> dict[str, Change]:
    """What a batch of rows changed, by tenant: a sequence's id is nobody else's to hear.

    What belongs to no tenant, as an unreadable record, stands under the empty name.
    """
    changes: dict[str, Change] = {}
    for table in _KINDS:
        for row in rows.of(table):
            change = changes.setdefault(row.get("tenant_id") or "", Change())
            change.kinds.add(table.name)
            if sequence := row.get("sequence_id"):
                change.sequences.add(sequence)
    return changes


class Subscriber:
    """One open page: changes pile up into one until it takes them."""

    def __init__(self, tenant: str | None) -> None:
        self._tenant = tenant
        self._pending = Change()
        self._woken = asyncio.Event()

    def tell(self, changes: Mapping[str, Change]) -> None:
        for tenant, change in changes.items():
            if self._tenant in (None, tenant):
                self._pending.add(change)
                self._woken.set()

    def wake(self) -> None:
        """Let `take` return, with whatever there is."""
        self._woken.set()

    async def take(self, timeout: float) -> Change:
        """What changed since the last time; empty after `timeout` seconds without a change."""
        try:
            await asyncio.wait_for(self._woken.wait(), timeout)
        except TimeoutError:
            return Change()
        self._woken.clear()
        change, self._pending = self._pending, Change()
        return change


class Broadcaster:
    """Passes changes to all who listen in this process.

    With several portal processes a page hears of those that its own process projected; the
    page therefore also asks by itself from time to time.
    """

    def __init__(self) -> None:
        self._subscribers: set[Subscriber] = set()

    def publish(self, changes: Mapping[str, Change]) -> None:
        """`changes` by tenant."""
        for subscriber in self._subscribers:
            subscriber.tell(changes)

    def close(self) -> None:
        """Wake all who listen, so that their streams end with the process, not after it."""
        for subscriber in self._subscribers:
            subscriber.wake()

    @contextmanager
    def subscription(self, tenant: str | None) -> Iterator[Subscriber]:
        """`tenant` None hears of every tenant."""
        subscriber = Subscriber(tenant)
        self._subscribers.add(subscriber)
        try:
            yield subscriber
        finally:
            self._subscribers.discard(subscriber)

"""Which record of a parked lead comes next, and where the others wait. Pure.

A lead with waiting records is parked: its later records go behind them, into the retry
topic of the last one, so that each retry topic holds a lead's records in order. A record
that comes before its turn all the same is put behind its predecessor again; the order is
that of the queue, not of arrival.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from crm_sync.crm.base import CrmError
from crm_sync.decide import next_try
from crm_sync.model import Item, NextTry, RetryPolicy, Waiting


@dataclass(frozen=True, slots=True)
class Turn:
    """Of the records that arrived: those whose turn it is, in order, and those too early."""

    now: tuple[Waiting, ...]
    early: tuple[Waiting, ...]


def turn(queue: Sequence[Waiting], arrived: Mapping[str, int]) -> Turn:
    """`queue` is the lead's, in order; `arrived` maps event ids to the hop of their copy.

    A copy older than the queue's entry is stale, one without an entry was processed:
    neither counts. A copy may be newer than its entry, which is written after it.
    """
    here = [entry for entry in queue if arrived.get(entry.event_id, -1) >= entry.hop]
    now: list[Waiting] = []
    for entry, ready in zip(queue, here, strict=False):
        if entry is not ready:
            break
        now.append(entry)
    return Turn(tuple(now), tuple(here[len(now) :]))


def behind_the_last(queue: Sequence[Waiting], item: Item) -> Waiting:
    """The entry of a new record of a parked lead: it waits where the last of the queue does."""
    last = queue[-1]
    return _entry(item, NextTry(last.tier, last.due_at))


def put_back(
    queue: Sequence[Waiting], early: Iterable[Waiting], now: datetime, policy: RetryPolicy
) -> list[Waiting]:
    """The early ones, each behind its predecessor in `queue` (as it is by now)."""
    moves = {entry.event_id: entry for entry in early}
    moved: list[Waiting] = []
    before: Waiting | None = None
    for entry in queue:
        if entry.event_id in moves:
            tier = entry.tier if before is None else before.tier
            due_at = entry.due_at if before is None else before.due_at
            entry = replace(
                entry, tier=tier, due_at=max(due_at, now + policy.patience), hop=entry.hop + 1
            )
            moved.append(entry)
        before = entry
    return moved


def park(
    failed: Sequence[Item],
    behind: Sequence[Item],
    error: CrmError,
    now: datetime,
    policy: RetryPolicy,
) -> tuple[dict[str, Waiting], list[Item]]:
    """Where records wait after a failed call, by event id, and which have failed for good.

    All of a lead wait together, for as long as the first of them has to.
    """
    tried = [replace(item, attempts=item.attempts + error.COUNTS) for item in failed]
    given_up = [item for item in tried if next_try(item.attempts, error, now, policy) is None]
    left = [*(item for item in tried if item not in given_up), *behind]
    if not left:
        return {}, given_up
    after = next_try(max(1, left[0].attempts), error, now, policy, left[0].event_id)
    assert after is not None  # the error is retryable, and the item is not given up
    return {item.event_id: _entry(item, after) for item in left}, given_up


def _entry(item: Item, at: NextTry) -> Waiting:
    return Waiting(
        event_id=item.event_id,
        lead_id=item.lead_id,
        origin=item.origin,
        tier=at.tier,
        due_at=at.due_at,
        attempts=item.attempts,
        hop=item.hop + 1,
    )

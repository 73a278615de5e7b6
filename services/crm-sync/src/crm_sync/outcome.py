"""What is written down about records whose work is over for now. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from crm_sync.crm.base import CrmError, CrmGivenUp
from crm_sync.model import Item, RetryPolicy, SyncRun, Waiting
from crm_sync.parking import park
from crm_sync.work import LeadWork
from leadflow.errors import public_reason

BEHIND = "waits behind an earlier record of its lead"


@dataclass(frozen=True, slots=True)
class Parked:
    """A record for a retry topic, and why: the class of an error and a reason."""

    entry: Waiting
    error: str
    reason: str


@dataclass(slots=True)
class Conclusion:
    """Effects of a batch: what to bury, what to park, what is over, and the runs to write."""

    buried: list[tuple[Item, Exception]] = field(default_factory=list)
    parked: list[Parked] = field(default_factory=list)
    over: list[str] = field(default_factory=list)
    runs: list[SyncRun] = field(default_factory=list)


def conclude(works: Iterable[LeadWork], now: datetime, policy: RetryPolicy) -> Conclusion:
    """Everything that follows from the work of these leads."""
    end = Conclusion()
    for work in works:
        for item in work.written:
            _over(end, item, "written")
        for item in work.unchanged:
            _over(end, item, "unchanged")
        for item, error in work.refused:
            bury(end, item, item.attempts + 1, error)
        if work.error is not None:
            provider = (work.failed or work.behind)[0].account.provider
            _conclude_failure(end, work, work.error, now, policy.of(provider))
    return end


def wait_behind(end: Conclusion, item: Item, entry: Waiting) -> None:
    """Park a record behind its predecessors, without a call."""
    end.parked.append(Parked(entry, "Behind", BEHIND))
    end.runs.append(_run(item, entry.attempts, "waiting", "Behind", BEHIND, entry.due_at))


def _conclude_failure(
    end: Conclusion, work: LeadWork, error: CrmError, now: datetime, policy: RetryPolicy
) -> None:
    entries, given_up = park(work.failed, work.behind, error, now, policy)
    for item in given_up:
        reason = f"given up after {item.attempts} attempts; the last one: {error}"
        bury(end, item, item.attempts, CrmGivenUp(reason))
    for item in work.failed:
        if (entry := entries.get(item.event_id)) is not None:
            name, reason = type(error).__name__, str(error)
            end.parked.append(Parked(entry, name, reason))
            end.runs.append(_run(item, entry.attempts, "waiting", name, reason, entry.due_at))
    for item in work.behind:
        wait_behind(end, item, entries[item.event_id])


def _over(end: Conclusion, item: Item, result: str) -> None:
    attempts = item.attempts + (result == "written")
    end.over.append(item.event_id)
    end.runs.append(_run(item, attempts, result))


def bury(end: Conclusion, item: Item, attempts: int, error: Exception) -> None:
    """It is over after `attempts`, and goes to the dead letters."""
    end.over.append(item.event_id)
    end.buried.append((item, error))
    end.runs.append(_run(item, attempts, "dead", type(error).__name__, str(public_reason(error))))


def _run(
    item: Item,
    attempts: int,
    result: str,
    error: str | None = None,
    reason: str | None = None,
    next_try_at: datetime | None = None,
) -> SyncRun:
    return SyncRun(
        item.event_id,
        item.tenant_id,
        item.lead_id,
        item.what,
        attempts,
        result,
        error,
        reason,
        next_try_at,
        item.account,
    )

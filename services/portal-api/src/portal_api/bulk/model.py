"""What a bulk job asks for and what it knows about each lead. Frozen, pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

ENROLL, MIGRATE, PAUSE, RESUME, STOP = "enroll", "migrate", "pause", "resume", "stop"
LIVE = ("active", "paused")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is asked for. `started_at` is the time of every command of it, so that a command
    that is sent again is the same; None while it is only a preview. `rate_per_minute` is how many
    overdue leads a resume lets go, None for what is no resume."""

    bulk_id: str
    tenant_id: str
    sequence_id: str
    action: str
    requested_by: str
    reason: str | None = None
    from_version: int | None = None
    to_version: int | None = None
    started_at: datetime | None = None
    rate_per_minute: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """The last word of a lead on a channel, or on `all`."""

    channel: str
    granted: bool
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """An enrollment of the lead, in any sequence; group and priority are its version's. `held_by`
    is what holds it, a scope or a rule, empty if nothing does."""

    enrollment_id: str
    sequence_id: str
    version: int
    status: str
    enrolled_at: datetime
    ended_at: datetime | None = None
    next_due_at: datetime | None = None
    held_by: str | None = None
    group: str = ""
    priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A lead as the read models have it; `status` empty where they have no such lead."""

    lead_id: str
    status: str = ""
    owner: str | None = None
    email: str = ""
    phone: str = ""
    timezone: str = ""
    words: tuple[Word, ...] = ()
    passages: tuple[Passage, ...] = ()

    def live_in(self, sequence_id: str) -> Passage | None:
        """Its enrollment that runs in a sequence now; there is one at most."""
        return next(
            (
                each
                for each in self.passages
                if each.sequence_id == sequence_id and each.status in LIVE
            ),
            None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What is expected for one lead. `refused` names its rule; `asked` is whether the sequencer
    is asked at all: of a lead that is not there nobody is. `plan` is what would come next."""

    refused: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    asked: bool = True
    plan: Mapping[str, Any] = field(default_factory=dict)

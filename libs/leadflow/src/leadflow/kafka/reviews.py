"""What people have done about dead letters: which they ask for, and what is noted of each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from leadflow import ids
from leadflow.kafka.replay import Letter
from leadflow.records import DeadLetterReviewed

OPEN, REPLAYED, DISCARDED = "open", "replayed", "discarded"
ACTIONS = (REPLAYED, DISCARDED)
DEFAULT_PER_MINUTE = 600
"""Replays a minute where nothing is said: quick for a person who watches, slow for a service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which dead letters are meant: all that every given part fits. `reason` is a letter's cause,
    the class of its error or its rule; times are those of the burial, `until` is not included."""

    service: str | None = None
    reason: str | None = None
    tenant: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    letter_ids: tuple[str, ...] = ()

    def fits(self, letter: Letter, tenant_id: str) -> bool:
        """`tenant_id` is that of the record, empty where it cannot be read."""
        return (
            self.service in (None, letter.service)
            and self.reason in (None, letter.error, letter.cause, rule_in(letter.cause))
            and self.tenant in (None, tenant_id)
            and (self.since is None or letter.at >= self.since)
            and (self.until is None or letter.at < self.until)
            and (not self.letter_ids or letter.letter_id in self.letter_ids)
        )

    def in_words(self) -> str:
        """For the record: service crm-sync, reason CrmNever, …"""
        told = {
            "service": self.service,
            "reason": self.reason,
            "tenant": self.tenant,
            "since": self.since and self.since.isoformat(),
            "until": self.until and self.until.isoformat(),
            "letters": " ".join(self.letter_ids) or None,
        }
        given = ", ".join(f"{name} {value}" for name, value in told.items() if value)
        return given or "every dead letter"


def rule_in(cause: str) -> str:
    """What a cause says beside the class of the error."""
    return cause.partition(": ")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What somebody asks for at once. `run_id` is in every review of it, and makes its id: a run
    that is carried on after a crash notes nothing twice."""

    run_id: str
    action: str
    chosen: str
    by: str
    reason: str | None
    source: str

    def review(
        self, *, letter_id: str, tenant_id: str, service: str, cause: str, at: datetime
    ) -> DeadLetterReviewed:
        """What is noted of one letter of the run."""
        return DeadLetterReviewed(
            event_id=ids.derived_id("dead-letter-review", self.run_id, letter_id),
            tenant_id=tenant_id,
            occurred_at=at,
            recorded_at=at,
            source=self.source,
            letter_id=letter_id,
            service=service,
            cause=cause,
            action=self.action,
            run_id=self.run_id,
            filter=self.chosen,
            reviewed_by=self.by,
            reason=self.reason,
        )


def standing(reviews: Iterable[DeadLetterReviewed]) -> Mapping[str, DeadLetterReviewed]:
    """The last word on each letter, by its id; `reviews` in the order of the log."""
    return {review.letter_id: review for review in reviews}


def wanted(action: str, before: str, *, again: bool) -> bool:
    """Whether a letter that stands as `before` says is taken: an open one, and with `again` one
    that was replayed or discarded before too."""
    return before == OPEN or (again and action == REPLAYED)

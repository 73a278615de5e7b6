"""Leads as records say it one after the other, and what a CRM should hold of them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from leadflow import ids, topics
from leadflow.records import (
    Enrolled,
    LeadCreated,
    LeadQualified,
    LeadRecord,
    LeadUpdated,
    MessageSent,
    StageChanged,
    SummaryCreated,
    SummaryReviewed,
)

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
SOURCES = (topics.LEAD_EVENTS, topics.ENROLLMENT_EVENTS, topics.MESSAGE_EVENTS, topics.SUMMARIES)
RETRIES = (topics.CRM_SYNC_RETRY_30S, topics.CRM_SYNC_RETRY_5M, topics.CRM_SYNC_RETRY_1H)
TOPIC_OF = {record_type: topic.name for topic in SOURCES for record_type in topic.records}


@dataclass
class Lead:
    """One lead's records, and the contact that follows from them by the field mapping."""

    lead_id: str
    tenant_id: str
    revision: int = 0
    contact: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def _common(self, *what: str | int) -> dict[str, Any]:
        return {
            "event_id": ids.derived_id(self.lead_id, *what),
            "tenant_id": self.tenant_id,
            "occurred_at": NOW,
            "recorded_at": NOW,
            "source": "web-form",
            "lead_id": self.lead_id,
        }

    def _profile(self, kind: str, first_name: str) -> dict[str, Any]:
        self.revision += 1
        stage = self.contact.get("stage", "new")
        self.contact.update(
            tenant_id=self.tenant_id,
            first_name=first_name,
            email=f"{self.lead_id}@example.com",
            urgency="normal",
            timezone="UTC",
            source="web-form",
            consent={},
            stage=stage,
            owner="dana",
            revision=self.revision,
        )
        return {
            **self._common(kind, self.revision),
            "cause_id": str(uuid4()),
            "revision": self.revision,
            "external_id": self.lead_id,
            "status": "active",
            "first_name": first_name,
            "email": f"{self.lead_id}@example.com",
            "urgency": "normal",
            "timezone": "UTC",
            "timezone_from": "utc",
            "stage": stage,
            "owner": "dana",
            "received": "{}",
            "extra": "{}",
        }

    def created(self) -> LeadCreated:
        return LeadCreated(**self._profile("created", "Ada"))

    def updated(self, first_name: str) -> LeadUpdated:
        return LeadUpdated(**self._profile("updated", first_name))

    def stage_changed(self, to_stage: str) -> StageChanged:
        self.revision += 1
        from_stage = self.contact["stage"]
        self.contact.update(stage=to_stage, revision=self.revision)
        return StageChanged(
            **self._common("stage", self.revision),
            cause_id=str(uuid4()),
            revision=self.revision,
            from_stage=from_stage,
            to_stage=to_stage,
        )

    def qualified(self) -> LeadQualified:
        self.contact.update(fit=70, intent=80, temperature="hot", next_action="call")
        return LeadQualified(
            **self._common("qualified"),
            cause_id=str(uuid4()),
            fit=70,
            intent=80,
            temperature="hot",
            next_action="call",
            decided_by="rules",
        )

    def enrolled(self) -> Enrolled:
        self.contact.update(sequence="t.first-touch", enrolled_at=NOW.isoformat())
        return Enrolled(
            **self._common("enrolled"),
            enrollment_id=ids.enrollment_id(self.lead_id, "t.first-touch", 1),
            sequence_id="t.first-touch",
            sequence_version=1,
            entry=1,
            enrolled_by="trigger",
            trigger_event_id=str(uuid4()),
        )

    def sent(self, number: int) -> MessageSent:
        at = NOW + timedelta(minutes=number)
        self.contact.update(
            last_message_id=f"m{number}",
            last_message_channel="email",
            last_message_at=at.isoformat(),
        )
        return MessageSent(
            **self._common("sent", number),
            message_id=f"m{number}",
            channel="email",
            provider="sandbox",
            body_hash="0",
            accepted_at=at,
            epoch=1,
        )

    def summarized(self) -> SummaryCreated:
        return SummaryCreated(
            **self._common("summary"),
            summary_id=f"s-{self.lead_id}",
            project_id="p",
            text="a draft",
            text_hash=hashlib.sha256(b"a draft").hexdigest(),
            next_action="call",
            approval_state="pending",
            decided_by="rules",
            cause_id=str(uuid4()),
        )

    def reviewed(self, decision: str, words: str) -> SummaryReviewed:
        if decision != "rejected":
            self.notes[f"s-{self.lead_id}"] = words
        return SummaryReviewed(
            **self._common("review"),
            summary_id=f"s-{self.lead_id}",
            project_id="p",
            decision=decision,
            text_hash=hashlib.sha256(words.encode()).hexdigest(),
            text=words,
            reviewer="rita",
        )


def new_leads(tenant_id: str, count: int, kind: str = "lead") -> list[Lead]:
    return [Lead(f"{kind}-{uuid4()}", tenant_id) for _ in range(count)]


def ten_changes(leads: Sequence[Lead], seed: int) -> list[LeadRecord]:
    """Ten records of each lead; those of one lead in order, the leads mixed."""
    stories: list[list[LeadRecord]] = []
    for lead in leads:
        stories.append(
            [
                lead.created(),
                lead.qualified(),
                lead.enrolled(),
                lead.sent(1),
                lead.stage_changed("contacted"),
                lead.updated("Grace"),
                lead.sent(2),
                lead.stage_changed("qualified"),
                lead.reviewed("approved", f"words about {lead.lead_id}"),
                lead.updated("Edsger"),
            ]
        )
    order = [index for index, story in enumerate(stories) for _ in story]
    random.Random(seed).shuffle(order)
    tellers: list[Iterator[LeadRecord]] = [iter(story) for story in stories]
    return [next(tellers[index]) for index in order]

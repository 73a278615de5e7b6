"""Ten changes of each lead as the log has them, and the contact that each of them leads to."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from leadflow import ids, topics
from leadflow.records import LeadCreated, LeadRecord, LeadUpdated, MessageSent, StageChanged

TENANT = "bench"
TOGETHER = 100
"""So many leads are under way at a time: their changes are mixed."""
STORY = ("created", "sent", "stage", "sent", "updated", "sent", "stage", "sent", "updated", "sent")
STAGES = ("new", "contacted", "qualified")


@dataclass
class Lead:
    lead_id: str
    tenant_id: str
    revision: int = 0
    stage: int = 0
    sent: int = 0
    contact: dict[str, Any] = field(default_factory=dict)

    def change(self, what: str) -> tuple[str, LeadRecord]:
        """The next record, with its topic."""
        now = datetime.now(UTC)
        self.contact["tenant_id"] = self.tenant_id
        common: dict[str, Any] = {
            "event_id": str(uuid4()),
            "tenant_id": self.tenant_id,
            "occurred_at": now,
            "recorded_at": now,
            "source": "bench",
            "lead_id": self.lead_id,
        }
        if what == "sent":
            self.sent += 1
            at = now + timedelta(milliseconds=self.sent)
            sent = MessageSent(
                **common,
                message_id=f"{self.lead_id}-{self.sent}",
                channel="email",
                provider="sandbox",
                body_hash="0",
                accepted_at=at,
                epoch=1,
            )
            self.contact |= {
                "last_message_id": sent.message_id,
                "last_message_channel": "email",
                "last_message_at": at.isoformat(),
            }
            return topics.MESSAGE_EVENTS.name, sent
        self.revision += 1
        common |= {"cause_id": str(uuid4()), "revision": self.revision}
        if what == "stage":
            before, self.stage = STAGES[self.stage], self.stage + 1
            self.contact |= {"stage": STAGES[self.stage], "revision": self.revision}
            stages = {"from_stage": before, "to_stage": STAGES[self.stage]}
            return topics.LEAD_EVENTS.name, StageChanged(**common, **stages)
        kind: Any = LeadCreated if what == "created" else LeadUpdated
        shown = {
            "first_name": f"Robin {self.revision}",
            "last_name": "Marsh",
            "email": f"{self.lead_id}@example.com",
            "service": "roof repair",
            "urgency": "soon",
            "timezone": "America/Chicago",
            "stage": STAGES[self.stage],
            "owner": "dana",
        }
        self.contact |= {**shown, "source": "bench", "consent": {}, "revision": self.revision}
        fields = {"timezone_from": "given", "status": "active", "received": "{}", "extra": "{}"}
        return topics.LEAD_EVENTS.name, kind(**common, **shown, **fields, external_id=self.lead_id)


def changes(
    count: int, run: str, tenant_id: str = TENANT
) -> Iterator[tuple[str, LeadRecord, dict[str, Any]]]:
    """(topic, record, the contact after it) of so many changes, ten a lead. Each is made when it
    is asked for."""
    choose = random.Random(count)
    left = [
        (Lead(ids.lead_id(tenant_id, run, str(number)), tenant_id), list(STORY))
        for number in range(count // 10)
    ]
    going = [left.pop() for _ in range(min(TOGETHER, len(left)))]
    while going:
        place = choose.randrange(len(going))
        lead, story = going[place]
        topic, record = lead.change(story.pop(0))
        yield topic, record, dict(lead.contact)
        if not story:
            going[place] = going[-1]
            going.pop()
            if left:
                going.append(left.pop())

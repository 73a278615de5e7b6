"""A story told to a portal: leads on their way through a sequence.

The records are what the other services would produce.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import confluent_kafka

from leadflow import ids, records
from leadflow.codec import Codec
from leadflow.tenants import Tenant
from portal_api import library

PEOPLE = (
    ("Maria", "Okafor", "412 Maple Street"), ("James", "Whitlock", "9 Harbor Lane"),
    ("Priya", "Nair", "1180 Sunset Blvd"), ("Daniel", "Reyes", "77 Pecan Grove"),
    ("Hannah", "Lindqvist", "23 Birch Court"), ("Omar", "Haddad", "640 Ridge Road"),
    ("Grace", "Delacroix", "5 Mill Pond Way"), ("Tomas", "Novak", "318 Canyon Drive"),
    ("Aisha", "Bello", "2204 Elm Avenue"), ("Peter", "Lang", "61 Stone Bridge Rd"),
    ("Lucia", "Moretti", "14 Vine Street"), ("Noah", "Feldman", "902 Prairie View"),
)  # fmt: skip


@dataclass
class Story:
    """Records about one tenant, ready to produce; `at` is the present of the story."""

    tenant: Tenant
    at: datetime
    codec: Codec = field(default_factory=Codec)
    out: list[tuple[str, str, bytes, datetime]] = field(default_factory=list)
    sequences: dict[str, records.SequencePublished] = field(default_factory=dict)
    summaries: dict[str, records.SummaryCreated] = field(default_factory=dict)
    leads: list[str] = field(default_factory=list)

    def add(self, topic: str, key: str, record: Any) -> None:
        # A raw event reaches the broker when it happens: the response time starts there.
        at = record.occurred_at if topic == "raw-events" else datetime.now(UTC)
        self.out.append((topic, key, self.codec.encode(record), at))

    def publish_library(self) -> None:
        entries, templates = library.load(library.default_folder())
        for entry in entries:
            sequence = library.sequence_of(entry, templates, self.tenant, self.at)
            self.sequences[entry["sequence_id"]] = sequence
            key = f"{sequence.sequence_id}:{sequence.version}"
            self.add("sequence-definitions", key, sequence)

    def lead(self, number: int, age: timedelta, *, temperature: str = "warm") -> str:
        """A lead that came in `age` ago: raw event, profile, score and a drafted summary."""
        first, last, street = PEOPLE[number % len(PEOPLE)]
        source, external_id = "website-form", f"form-{number}"
        lead_id = ids.lead_id(self.tenant.tenant_id, source, external_id)
        self.leads.append(lead_id)
        then, cause = self.at - age, f"{self.tenant.tenant_id}-raw-{number}"
        raw = records.RawEvent(
            event_id=cause,
            tenant_id=self.tenant.tenant_id,
            occurred_at=then,
            recorded_at=then,
            source=source,
            kind="lead",
            external_id=external_id,
            payload=json.dumps({"name": f"{first} {last}"}),
        )
        self.add("raw-events", f"{self.tenant.tenant_id}:{source}:{external_id}", raw)
        about = self.about(lead_id, then, "created", source=source)
        self.add(
            "lead-events",
            lead_id,
            records.LeadCreated(
                **about,
                cause_id=cause,
                revision=1,
                external_id=external_id,
                status="active",
                first_name=first,
                last_name=last,
                email=f"{first}.{last}.{number}@example.com".lower(),
                phone=f"+1512555{number % 10000:04d}",
                address=records.Address(street=street, city="Austin", region="TX"),
                service="roof repair",
                urgency="normal",
                timezone="America/Chicago",
                timezone_from="phone",
                consent=(records.ConsentGrant(channel="email", granted=True, basis="web form"),),
                stage="new",
                received=json.dumps({"name": f"{first} {last}"}),
                extra="{}",
            ),
        )
        self.add(
            "lead-events",
            lead_id,
            records.LeadQualified(
                **self.about(lead_id, then, "qualified"),
                cause_id=cause,
                fit=72,
                intent=64,
                temperature=temperature,
                reasons=(records.Reason(rule="service", points=20, note="asks for roof repair"),),
                next_action="call",
                decided_by="rules",
            ),
        )
        text = f"{first} {last} asks for a roof repair and wants to hear back this week."
        draft = records.SummaryCreated(
            **self.about(lead_id, then, "summary"),
            summary_id=ids.derived_id("summary", lead_id),
            project_id=self.tenant.tenant_id,
            text=text,
            text_hash=hashlib.sha256(text.encode()).hexdigest(),
            next_action="call",
            approval_state="pending",
            decided_by="rules",
            cause_id=cause,
        )
        self.summaries[lead_id] = draft
        self.add("summaries", lead_id, draft)
        return lead_id

    def walk(
        self, lead_id: str, sequence: str, age: timedelta, *, engagement: str = "", end: str = ""
    ) -> str:
        """Enroll a lead `age` ago and let every step fire that is due by now.

        `engagement` is opened, clicked or replied, of the first sent e-mail; `end` the rule
        that stopped it after its first step. Returns the enrollment's id.
        """
        published = self.sequences[sequence]
        then = self.at - age
        enrollment = ids.enrollment_id(lead_id, published.sequence_id, 1)
        run = {
            "enrollment_id": enrollment,
            "sequence_id": published.sequence_id,
            "sequence_version": published.version,
        }
        self.add(
            "enrollment-events",
            lead_id,
            records.Enrolled(
                **self.about(lead_id, then, "enrolled", enrollment),
                **run,
                entry=1,
                enrolled_by="trigger",
                trigger_event_id=f"{lead_id}-created",
            ),
        )
        for index, step in enumerate(published.steps):
            due = then + timedelta(minutes=step.delay_minutes)
            message = ids.message_id(enrollment, step.step_id)
            about = {"step_id": step.step_id, "channel": step.channel}
            scheduled = records.StepScheduled(
                **self.about(lead_id, then, "scheduled", enrollment, index),
                **run,
                **about,
                step_index=index,
                due_at=due,
            )
            self.add("enrollment-events", lead_id, scheduled)
            if due > self.at:
                break
            self.add(
                "enrollment-events",
                lead_id,
                records.StepFired(
                    **self.about(lead_id, due, "fired", enrollment, index),
                    **run,
                    **about,
                    step_index=index,
                    message_id=message,
                    due_at=due,
                ),
            )
            self.message(
                lead_id, published, step, enrollment, due, engagement if index == 0 else ""
            )
            if end:
                self.add(
                    "enrollment-events",
                    lead_id,
                    records.EnrollmentStopped(
                        **self.about(lead_id, due, "stopped", enrollment), **run, rule=end
                    ),
                )
                break
        return enrollment

    def message(
        self,
        lead_id: str,
        sequence: records.SequencePublished,
        step: records.SequenceStep,
        enrollment: str,
        due: datetime,
        engagement: str = "",
        outcome: str = "sent",
    ) -> str:
        message = ids.message_id(enrollment, step.step_id)
        where = {
            "message_id": message,
            "enrollment_id": enrollment,
            "sequence_id": sequence.sequence_id,
            "step_id": step.step_id,
            "channel": step.channel,
        }
        for_person = step.channel in ("call", "task")
        self.add(
            "messages",
            lead_id,
            records.MessageQueued(
                **self.about(lead_id, due, "queued", message),
                **where,
                attempt=1,
                recipient="dana.whitfield" if for_person else "maria@example.com",
                template_name=step.template_name,
                subject=step.subject,
                body=step.body,
                variables={"first_name": "Maria", "tenant_name": self.tenant.name},
                compliance_note="consent email: web form",
                send_state="queued",
                enrolled_at=due,
                due_at=due,
            ),
        )
        if outcome == "queued":
            return message
        if for_person:
            recorded = records.MessageRecorded(
                **self.about(lead_id, due, "recorded", message),
                **where,
                body_hash="00",
                subject="Call Maria",
                body="Call",
            )
            self.add("message-events", lead_id, recorded)
            return message
        accepted = due + timedelta(seconds=2)
        sent = records.MessageSent(
            **self.about(lead_id, accepted, "sent", message),
            **where,
            provider="email-api",
            provider_id=f"p-{message[:8]}",
            body_hash="00",
            accepted_at=accepted,
            epoch=1,
        )
        self.add("message-events", lead_id, sent)
        answered = {"opened": ("opened",), "clicked": ("opened", "clicked")}
        answered["replied"] = ("opened", "replied")
        for number, kind in enumerate(answered.get(engagement, ())):
            later = accepted + timedelta(minutes=5 * (number + 1))
            if kind == "replied":
                reply = records.ReplyReceived(
                    **self.about(lead_id, later, "reply", message),
                    cause_id=f"{lead_id}-reply",
                    channel="email",
                    text="Yes please",
                    automatic=False,
                )
                self.add("lead-events", lead_id, reply)
                continue
            record = records.MessageOpened if kind == "opened" else records.MessageClicked
            callback = {"cause_id": f"{message}-{kind}", "provider": "email-api"}
            self.add(
                "message-events",
                lead_id,
                record(
                    **self.about(lead_id, later, kind, message),
                    **where,
                    **callback,
                    automated=False,
                ),
            )
        return message

    def stage(self, lead_id: str, before: str, after: str, ago: timedelta, revision: int) -> None:
        moved = records.StageChanged(
            **self.about(lead_id, self.at - ago, "stage", after),
            cause_id=f"{lead_id}-{after}",
            revision=revision,
            from_stage=before,
            to_stage=after,
        )
        self.add("lead-events", lead_id, moved)

    def about(
        self, lead_id: str, at: datetime, *what: str | int, source: str = "test"
    ) -> dict[str, Any]:
        return {
            "event_id": ids.derived_id(lead_id, *what),
            "tenant_id": self.tenant.tenant_id,
            "occurred_at": at,
            "recorded_at": at,
            "source": source,
            "lead_id": lead_id,
            "owner": "dana.whitfield",
        }

    def tell(self, bootstrap: str) -> None:
        """Produce everything that was added since the last time; return once it is written."""
        produce(bootstrap, self.out)
        self.out = []


def produce(bootstrap: str, out: list[tuple[str, str, bytes, datetime]]) -> None:
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "acks": "all"}
    )
    refused: list[Any] = []

    def delivered(error: Any, _message: Any) -> None:
        if error is not None:
            refused.append(error)

    for topic, key, value, at in out:
        stamp = int(at.timestamp() * 1000)
        producer.produce(topic, value, key=key.encode(), timestamp=stamp, on_delivery=delivered)
        producer.poll(0)
    assert producer.flush(30) == 0
    assert not refused

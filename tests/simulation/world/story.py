"""What happens in one seed: the sequences that are published, and what leads do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from random import Random
from typing import Any

from leadflow import ids, records, topics
from leadflow.codec import Codec
from leadflow.records import LeadRecord, SequencePublished
from leadflow.records.common import SequenceStep, Trigger
from leadflow.tenants import Tenant

from .durable import START

TENANT = "acme"
TENANTS = {TENANT: Tenant(tenant_id=TENANT, name="Acme Roofing")}
CODEC = Codec()
LEAD_EVENTS = topics.LEAD_EVENTS.name
COMMANDS = topics.ENROLLMENT_COMMANDS.name
MESSAGE_EVENTS = topics.MESSAGE_EVENTS.name
MESSAGES = topics.MESSAGES.name
WELCOME = f"{TENANT}.welcome"  # entered by being created, once
NURTURE = f"{TENANT}.nurture"  # entered by hand, as often as somebody asks for it
SCOPES = (
    "everything",
    f"tenant:{TENANT}",
    f"channel:{TENANT}:email",
    f"channel:{TENANT}:task",
    f"sequence:{TENANT}:{WELCOME}",
    f"sequence:{TENANT}:{NURTURE}",
)
DELAYS = (0, 0, 5, 45, 240, 1440)  # minutes

Happening = tuple[str, LeadRecord]
"""A record and the topic that it goes to."""

SEEN: dict[str, Any] = {
    "cause_id": "raw",
    "external_id": "7",
    "status": "active",
    "first_name": "Ada",
    "phone": "+15125550111",
    "urgency": "normal",
    "timezone": "America/Chicago",
    "timezone_from": "given",
    "stage": "new",
    "received": "{}",
    "extra": "{}",
}


def email_of(lead: str) -> str:
    return f"{lead[:8]}@example.com"


def definitions(rng: Random) -> dict[str, SequencePublished]:
    """Two sequences of one to four steps."""
    return {
        name: SequencePublished(
            event_id=name,
            tenant_id=TENANT,
            occurred_at=START,
            recorded_at=START,
            source="portal-api",
            sequence_id=name,
            version=1,
            name=name,
            description="",
            status="active",
            trigger=Trigger(kind=trigger[0], value=trigger[1]),
            trigger_source="any",
            consent_rule="not_opted_out",
            duplicate_rule="one_live_enrollment",
            rollback_path="",
            incident_owner="",
            response_window="5m",
            reentry_rule=reentry,
            reentry_days=0,
            priority=50,
            stop_on=rng.choice((("reply",), ("reply", "booking"), ("booking",))),
            steps=tuple(_step(rng, number) for number in range(rng.randint(1, 4))),
        )
        for name, trigger, reentry in (
            (WELCOME, ("stage", "new"), "never"),
            (NURTURE, ("manual", ""), "always"),
        )
    }


def _step(rng: Random, number: int) -> SequenceStep:
    return SequenceStep(
        step_id=f"step-{number}",
        channel=rng.choice(("email", "email", "task")),
        delay_minutes=rng.choice(DELAYS),
        delay_from=rng.choice(("enrollment", "previous")),
        template_name="template",
        subject="About your roof",
        body="Hello",
    )


def make(kind: str, lead: str, name: str, at: datetime, **fields: Any) -> LeadRecord:
    record_type: Any = getattr(records, kind)
    made: LeadRecord = record_type(
        event_id=name,
        tenant_id=TENANT,
        occurred_at=at,
        recorded_at=at,
        source="website-form",
        lead_id=lead,
        owner="dana",
        **fields,
    )
    return made


class Story:
    """Makes the happenings of a seed one by one, each at the time that it is asked for."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._number = 0
        self.leads = [ids.lead_id(TENANT, "sim", str(n)) for n in range(rng.randint(1, 3))]
        self._queue = list(self._plan())

    def _plan(self) -> Iterator[tuple[str, str]]:
        """(lead, what); a lead's creation is among the first, hardly ever the first of all."""
        rng = self._rng
        later: list[tuple[str, str]] = []
        for lead in self.leads:
            first = [(lead, "created")]
            if rng.random() < 0.2:
                first.insert(rng.randint(0, 1), (lead, "updated"))
            yield from first
            kinds = rng.choices(
                ("enroll", "updated", "reply", "automatic", "opt_out", "booking", "pause",
                 "resume", "stop", "complaint", "again"),
                (5, 1, 2, 1, 1, 1, 1.5, 1.5, 1, 0.5, 2),
                k=rng.randint(1, 6),
            )  # fmt: skip
            later += [(lead, kind) for kind in kinds]
        rng.shuffle(later)
        yield from later

    def __bool__(self) -> bool:
        return bool(self._queue)

    def next(self, at: datetime) -> Happening | None:
        """The next happening; None stands for one that is to be repeated."""
        lead, what = self._queue.pop(0)
        self._number += 1
        name, rng = f"{what}-{self._number}", self._rng
        passage = ids.enrollment_id(lead, rng.choice((WELCOME, NURTURE)), rng.choice((1, 1, 2)))
        match what:
            case "created" | "updated":
                kind = "LeadCreated" if what == "created" else "LeadUpdated"
                fields = {**SEEN, "email": email_of(lead), "revision": self._number}
                return LEAD_EVENTS, make(kind, lead, name, at, **fields)
            case "enroll":
                fields = {"sequence_id": NURTURE, "requested_by": "ops"}
                return COMMANDS, make("EnrollRequested", lead, name, at, **fields)
            case "reply" | "automatic":
                fields = {"cause_id": name, "channel": "email", "automatic": what == "automatic"}
                return LEAD_EVENTS, make("ReplyReceived", lead, name, at, **fields)
            case "opt_out":
                fields = {"cause_id": name, "channel": "email", "granted": False}
                fields["address"] = email_of(lead)
                return LEAD_EVENTS, make("ConsentChanged", lead, name, at, **fields)
            case "booking":
                return LEAD_EVENTS, make("BookingMade", lead, name, at, cause_id=name)
            case "complaint":
                return MESSAGE_EVENTS, complaint(lead, name, at)
            case "pause" | "resume" | "stop":
                kind = f"Enrollment{what.title()}Requested"
                fields = {"enrollment_id": passage, "requested_by": "ops"}
                return COMMANDS, make(kind, lead, name, at, **fields)
            case _:
                return None


def complaint(lead: str, name: str, at: datetime) -> LeadRecord:
    fields = {"cause_id": name, "message_id": "m", "channel": "email", "provider": "fake"}
    return make("MessageComplained", lead, name, at, **fields)


def bounce(lead: str, message_id: str, at: datetime) -> LeadRecord:
    fields = {"cause_id": "c", "message_id": message_id, "channel": "email", "provider": "fake"}
    return make("MessageBounced", lead, f"bounce-{message_id}", at, **fields, bounce_type="hard")

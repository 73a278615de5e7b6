"""What happens in one seed: what leads and people do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import lru_cache
from random import Random
from typing import Any, NamedTuple

from leadflow import ids, records, topics
from leadflow.codec import Codec
from leadflow.kafka.port import Message
from leadflow.raw_json import decode_raw_event
from leadflow.records import LeadRecord, RawEvent

from .sequences import NURTURE, TENANT, WELCOME, ZONES, Features


class MemoCodec(Codec):
    """Many read what was written once."""

    def __init__(self) -> None:
        super().__init__()
        self.decode = lru_cache(8192)(super().decode)  # type: ignore[method-assign]


CODEC = MemoCodec()
LEAD_EVENTS = topics.LEAD_EVENTS.name
COMMANDS = topics.ENROLLMENT_COMMANDS.name
MESSAGE_EVENTS = topics.MESSAGE_EVENTS.name
MESSAGES = topics.MESSAGES.name
RAW_EVENTS = topics.RAW_EVENTS.name
SCOPES = (
    "everything",
    f"tenant:{TENANT}",
    f"channel:{TENANT}:email",
    f"channel:{TENANT}:task",
    f"sequence:{TENANT}:{WELCOME}",
    f"sequence:{TENANT}:{NURTURE}",
)


def raw_event(message: Message) -> RawEvent:
    """As whoever brought it wrote it: in JSON, or as a record of ours."""
    found: Any = decode_raw_event(CODEC, message)
    record: RawEvent = found
    return record


class Happening(NamedTuple):
    """A source record and where it goes."""

    topic: str
    key: str
    value: bytes
    name: str


SEEN: dict[str, Any] = {
    "external_id": "7",
    "status": "active",
    "first_name": "Ada",
    "phone": "+15125550111",
    "urgency": "normal",
    "timezone_from": "given",
    "received": "{}",
    "extra": "{}",
}
AUTOMATIC = {"Auto-Submitted": "auto-replied"}
KINDS = {
    "enroll": 5.0, "updated": 1.0, "reply": 2.0, "automatic": 1.0, "opt_out": 1.0, "booking": 1.0,
    "stage": 1.0, "pause": 1.5, "resume": 1.5, "stop": 1.0, "complaint": 0.5, "again": 2.0,
}  # fmt: skip


def email_of(number: int) -> str:
    return f"lead{number}@example.com"


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


def told(topic: str, record: LeadRecord) -> Happening:
    """A record of ours, as something that happens."""
    return Happening(topic, record.lead_id, CODEC.encode(record), record.event_id)


REPORTS = {"delivered": 4.0, "soft": 1.0, "hard": 1.0, "complained": 0.5}


def report(what: str, lead: str, message_id: str, at: datetime) -> LeadRecord:
    """What a provider says became of a message."""
    fields = {"cause_id": "c", "message_id": message_id, "channel": "email", "provider": "fake"}
    name = f"{what}-{message_id}"
    if what in ("soft", "hard"):
        return make("MessageBounced", lead, name, at, **fields, bounce_type=what)
    return make(f"Message{what.title()}", lead, name, at, **fields)


class Story:
    """Makes the happenings of a seed one by one, each at the time that it is asked for.

    `who` says under which id a lead is known by now, `published` which second versions are,
    `queued` which messages of a lead there are to be sent again.
    """

    def __init__(
        self,
        rng: Random,
        features: Features,
        who: Callable[[int], str | None],
        published: Callable[[], list[str]],
        queued: Callable[[str], list[str]],
    ) -> None:
        self._rng = rng
        self._features = features
        self._who = who
        self._published = published
        self._queued = queued
        self._number = 0
        self.count = rng.randint(1, 3)
        self._zones = [rng.choice(ZONES) for _ in range(self.count)]
        self._queue = list(self._plan())

    def _plan(self) -> Iterator[tuple[int, str]]:
        """(lead, what); a lead's creation is among the first, hardly ever the first of all."""
        rng, features = self._rng, self._features
        kinds = dict(KINDS)
        if features.blocks:
            kinds["task_done"] = 3.0
        if features.versions:
            kinds["migrate"] = 3.0
        elif features.resends:
            kinds["resend"] = 3.0
        later: list[tuple[int, str]] = []
        for lead in range(self.count):
            first = ["created"]
            if rng.random() < 0.2:
                first.insert(rng.randint(0, 1), "updated")
            if features.intake and rng.random() < 0.5:
                first.insert(rng.randint(0, len(first)), "elsewhere")
            yield from ((lead, what) for what in first)
            drawn = rng.choices(list(kinds), list(kinds.values()), k=rng.randint(1, 6))
            later += [(lead, what) for what in drawn]
        rng.shuffle(later)
        yield from later

    def __bool__(self) -> bool:
        return bool(self._queue)

    def lead_id(self, number: int) -> str:
        return self._who(number) or ids.lead_id(TENANT, "sim", str(number))

    def next(self, at: datetime) -> Happening | None:
        """The next happening; None stands for one that is to be repeated."""
        number, what = self._queue.pop(0)
        self._number += 1
        name = f"{what}-{self._number}"
        if what == "again":
            return None
        if what in ("enroll", "pause", "resume", "stop", "migrate", "task_done", "resend"):
            return self._command(what, self.lead_id(number), name, at)
        if what == "complaint":
            fields = {"cause_id": name, "message_id": name, "channel": "email", "provider": "fake"}
            made = make("MessageComplained", self.lead_id(number), name, at, **fields)
            return told(MESSAGE_EVENTS, made)
        if self._features.intake:
            return self._raw(what, number, name, at)
        return told(LEAD_EVENTS, self._event(what, number, name, at))

    def _command(self, what: str, lead: str, name: str, at: datetime) -> Happening | None:
        rng = self._rng
        passage = ids.enrollment_id(lead, rng.choice((WELCOME, NURTURE)), rng.choice((1, 1, 2)))
        fields: dict[str, Any] = {"requested_by": "ops"}
        match what:
            case "enroll":
                kind, fields["sequence_id"] = "EnrollRequested", NURTURE
            case "task_done":
                message_id = ids.message_id(passage, f"step-{rng.randrange(4)}")
                kind, fields = "TaskCompleted", {"message_id": message_id, "completed_by": "dana"}
            case "resend":
                messages = self._queued(lead)
                if not messages:
                    return None
                kind = "ResendRequested"
                fields["message_id"] = rng.choice(messages)
            case "migrate":
                published = self._published()
                if not published:
                    return None
                passage = ids.enrollment_id(lead, rng.choice(published), rng.choice((1, 1, 2)))
                kind = "EnrollmentMigrateRequested"
                fields |= {"enrollment_id": passage, "to_version": 2}
            case _:
                kind, fields["enrollment_id"] = f"Enrollment{what.title()}Requested", passage
        return told(COMMANDS, make(kind, lead, name, at, **fields))

    def _event(self, what: str, number: int, name: str, at: datetime) -> LeadRecord:
        """What intake would have made of it."""
        lead = self.lead_id(number)
        match what:
            case "created" | "updated":
                fields = {**SEEN, "email": email_of(number), "timezone": self._zones[number]}
                fields |= {"revision": self._number, "stage": "new", "cause_id": name}
                kind = "LeadCreated" if what == "created" else "LeadUpdated"
                return make(kind, lead, name, at, **fields)
            case "reply" | "automatic":
                fields = {"cause_id": name, "channel": "email", "automatic": what == "automatic"}
                return make("ReplyReceived", lead, name, at, **fields)
            case "opt_out":
                fields = {"cause_id": name, "channel": "email", "granted": False}
                fields["address"] = email_of(number)
                return make("ConsentChanged", lead, name, at, **fields)
            case "stage":
                stage = self._rng.choice(("contacted", "won"))
                fields = {"cause_id": name, "revision": self._number, "from_stage": "new"}
                return make("StageChanged", lead, name, at, **fields, to_stage=stage)
            case _:
                return make("BookingMade", lead, name, at, cause_id=name)

    def _raw(self, what: str, number: int, name: str, at: datetime) -> Happening:
        """As the world tells it; `elsewhere` is the same person, seen by another source."""
        source, external_id = "sim", str(number)
        payload: dict[str, Any] = {"email": email_of(number)}
        match what:
            case "created" | "updated" | "elsewhere":
                kind = "lead"
                payload |= {"first_name": "Ada", "timezone": self._zones[number]}
                payload["service"] = name
                source = "ads" if what == "elsewhere" else source
            case "reply" | "automatic":
                kind, external_id = "reply", name
                payload = {"from": email_of(number), "channel": "email", "text": "Thanks!"}
                payload["lead"] = {"source": "sim", "external_id": str(number)}
                payload["headers"] = AUTOMATIC if what == "automatic" else {}
            case "opt_out":
                kind, external_id = "opt_out", name
                payload["channel"] = "email"
            case "stage":
                kind, external_id = "stage_change", name
                payload = {"lead": {"source": "sim", "external_id": str(number)}}
                payload["to"] = self._rng.choice(("contacted", "contacted", "won"))
            case _:
                kind, external_id = "booking", name
        raw = {
            "event_id": name,
            "tenant_id": TENANT,
            "source": source,
            "kind": kind,
            "external_id": external_id,
            "occurred_at": at.isoformat(),
            "payload": payload,
        }
        key = f"{TENANT}:{source}:{external_id}"
        return Happening(RAW_EVENTS, key, json.dumps(raw).encode(), name)

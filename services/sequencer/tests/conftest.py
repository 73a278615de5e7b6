"""A lead's story in a few words: published sequences, events at minutes, what follows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leadflow import records
from leadflow.codec import Codec
from leadflow.records import LeadRecord, MessageQueued, SequencePublished
from leadflow.records.common import Condition, SequenceStep, Trigger
from leadflow.tenants import Tenant
from sequencer.decide import decide, fire
from sequencer.model import LeadRow, Setting
from sequencer.pauses import AutomationPauses
from sequencer.sequences import PublishedSequences

from .piping import Bench

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
TENANT = "acme"
LEAD = "5b0e5a1c-6f0f-5c55-9a0c-000000000001"
CODEC = Codec()


def at(minutes: float) -> datetime:
    """So many minutes after the story began."""
    return START + timedelta(minutes=minutes)


def step(
    name: str,
    minutes: int = 0,
    *,
    channel: str = "email",
    delay_from: str = "enrollment",
    condition: tuple[str, str, str] | None = None,
    **more: Any,
) -> SequenceStep:
    return SequenceStep(
        step_id=name,
        channel=channel,
        delay_minutes=minutes,
        delay_from=delay_from,
        template_name=f"template-{name}",
        subject=f"About {name}",
        body="Hello {{ first_name }}",
        condition=None
        if condition is None
        else Condition(field=condition[0], op=condition[1], value=condition[2]),
        **more,
    )


class Story:
    """One lead, the sequences and pauses around it, and everything that followed so far."""

    def __init__(self, **tenant: Any) -> None:
        self.sequences = PublishedSequences(CODEC)
        self.pauses = AutomationPauses(CODEC)
        known: dict[str, Any] = {"name": "Acme Roofing", "agent_phone": "+15125550100", **tenant}
        self.setting = Setting(
            self.sequences, self.pauses, {TENANT: Tenant(tenant_id=TENANT, **known)}
        )
        self.row: LeadRow | None = None
        self.told: list[LeadRecord] = []
        self._number = 0

    def publish(
        self,
        name: str,
        *steps: SequenceStep,
        trigger: tuple[str, str] = ("stage", "new"),
        **changes: Any,
    ) -> SequencePublished:
        fields: dict[str, Any] = {
            "version": 1,
            "status": "active",
            "tenant_id": TENANT,
            "trigger_source": "any",
            "consent_rule": "not_opted_out",
            "reentry_rule": "never",
            "reentry_days": 0,
            "priority": 50,
            "stop_on": ("reply", "booking", "won", "lost"),
            **changes,
        }
        definition = SequencePublished(
            event_id=f"{name}-{fields['version']}-{fields['status']}",
            occurred_at=START,
            recorded_at=START,
            source="portal-api",
            sequence_id=f"{TENANT}.{name}",
            name=name,
            description="",
            trigger=Trigger(kind=trigger[0], value=trigger[1]),
            duplicate_rule="one_live_enrollment",
            rollback_path="",
            incident_owner="",
            response_window="5m",
            steps=steps,
            **fields,
        )
        key = f"{definition.sequence_id}:{definition.version}".encode()
        self.sequences.apply(key, CODEC.encode(definition))
        return definition

    def event(self, kind: str, minutes: float = 0, **fields: Any) -> Any:
        """A record of that type about the lead, with values for what a test does not name."""
        self._number += 1
        record_type: Any = getattr(records, kind)
        when = at(minutes)
        base = {
            "event_id": f"{kind}-{self._number}",
            "tenant_id": TENANT,
            "occurred_at": when,
            "recorded_at": when,
            "source": "website-form",
            "lead_id": LEAD,
            "owner": "dana",
        }
        return record_type(**{**base, **DEFAULTS.get(kind, {}), **fields})

    def happens(self, event: LeadRecord, minutes: float | None = None) -> list[LeadRecord]:
        """Decide on an event, at its own time unless another is given; what followed."""
        now = event.recorded_at if minutes is None else at(minutes)
        decision = decide(self.row, event, now, self.setting)
        if decision.changed:
            self.row = decision.row
        self.told += decision.effects
        return list(decision.effects)

    def when(self, kind: str, minutes: float = 0, **fields: Any) -> list[LeadRecord]:
        return self.happens(self.event(kind, minutes, **fields))

    def passes(self, minutes: float) -> list[LeadRecord]:
        """Time goes on to that minute; what followed."""
        assert self.row is not None
        decision = fire(self.row, at(minutes), self.setting)
        self.row = decision.row
        self.told += decision.effects
        return list(decision.effects)

    def until(self, minutes: float) -> list[LeadRecord]:
        """Time goes on to that minute, everything is looked at when it is due; what followed."""
        told: list[LeadRecord] = []
        for _ in range(1_000):
            due = self.row.next_due() if self.row is not None else None
            if due is None or due > at(minutes):
                return told
            decision = fire(self.row, due, self.setting)  # type: ignore[arg-type]
            assert decision.changed, f"due at {due}, and nothing follows"
            told += decision.effects
            self.told += decision.effects
            self.row = None if decision.gone else decision.row
        raise AssertionError("there is always more that is due")

    def pause(self, scope: str) -> None:
        self._control("AutomationPaused", scope, workflow="", rollback="", paused_by="ops")

    def resume(self, scope: str) -> None:
        self._control("AutomationResumed", scope, resumed_by="ops")

    def _control(self, kind: str, scope: str, **fields: Any) -> None:
        self._number += 1
        record_type: Any = getattr(records, kind)
        record = record_type(
            event_id=f"{kind}-{scope}-{self._number}",
            tenant_id=TENANT,
            occurred_at=START,
            recorded_at=START,
            source="portal-api",
            scope=scope,
            reason="a test",
            verification_status="open",
            **fields,
        )
        self.pauses.apply(scope.encode(), CODEC.encode(record))


SEEN: dict[str, Any] = {
    "cause_id": "raw-1",
    "revision": 1,
    "external_id": "7",
    "status": "active",
    "first_name": "Ada",
    "email": "ada@example.com",
    "phone": "+15125550111",
    "urgency": "normal",
    "timezone": "America/Chicago",
    "timezone_from": "given",
    "stage": "new",
    "received": "{}",
    "extra": "{}",
}
OF_A_MESSAGE: dict[str, Any] = {"message_id": "m", "channel": "email", "provider": "p"}
ABOUT_A_MESSAGE = {"cause_id": "raw-2", **OF_A_MESSAGE}
DEFAULTS: dict[str, dict[str, Any]] = {
    "LeadCreated": SEEN,
    "LeadUpdated": {**SEEN, "revision": 2},
    "LeadQualified": {
        "cause_id": "raw-1",
        "fit": 80,
        "intent": 80,
        "temperature": "hot",
        "next_action": "call",
        "decided_by": "rules",
    },
    "StageChanged": {"cause_id": "raw-3", "revision": 2, "from_stage": "new"},
    "ReplyReceived": {"cause_id": "raw-4", "channel": "email", "automatic": False},
    "ConsentChanged": {"cause_id": "raw-5", "channel": "email", "granted": False},
    "BookingMade": {"cause_id": "raw-6"},
    "CallMissed": {"cause_id": "raw-7", "caller": "+15125550111"},
    "QuoteRequested": {"cause_id": "raw-8"},
    "JobCompleted": {"cause_id": "raw-9"},
    "MessageBounced": {**ABOUT_A_MESSAGE, "bounce_type": "hard"},
    "MessageComplained": ABOUT_A_MESSAGE,
    "MessageDelivered": ABOUT_A_MESSAGE,
    "MessageClicked": {**ABOUT_A_MESSAGE, "automated": False},
    "AccountReplied": {"cause_id": "raw-10", "channel": "email", "replied_lead_id": "another"},
    "ResendRequested": {"requested_by": "ops"},
    "MessageOpened": {**ABOUT_A_MESSAGE, "automated": False},
    "MessageSent": {**OF_A_MESSAGE, "body_hash": "h", "accepted_at": START, "epoch": 1},
    "MessageFailed": {**OF_A_MESSAGE, "error_class": "refused", "reason": "no", "attempts": 1},
    "TaskCompleted": {"completed_by": "dana"},
    "EnrollRequested": {"requested_by": "ops"},
    "EnrollmentPauseRequested": {"requested_by": "ops"},
    "EnrollmentResumeRequested": {"requested_by": "ops"},
    "EnrollmentStopRequested": {"requested_by": "ops"},
    "EnrollmentMigrateRequested": {"requested_by": "ops", "to_version": 2},
}


def queued(told: list[LeadRecord]) -> list[MessageQueued]:
    return [each for each in told if isinstance(each, MessageQueued)]


def steps_sent(told: list[LeadRecord]) -> list[str]:
    return [each.step_id or "" for each in queued(told)]


def types(told: list[LeadRecord]) -> list[str]:
    return [each.TYPE for each in told]


def rules(told: list[LeadRecord], kind: str) -> list[str]:
    """The rules named by the effects of one type."""
    return [str(getattr(each, "rule", "")) for each in told if kind == each.TYPE]


class Words:
    """What the tests share, as one fixture."""

    LEAD = LEAD
    TENANT = TENANT
    at = staticmethod(at)
    step = staticmethod(step)
    queued = staticmethod(queued)
    steps_sent = staticmethod(steps_sent)
    types = staticmethod(types)
    rules = staticmethod(rules)
    story: Callable[..., Story] = Story


@pytest.fixture
def story() -> Story:
    return Story()


@pytest.fixture
async def bench(story: Story) -> Bench:
    """A lead's first step goes out at once, the next an hour later."""
    story.publish("one", step("hello"), step("later", 60))
    return Bench(story, Words)


@pytest.fixture(scope="session")
def words() -> type[Words]:
    return Words

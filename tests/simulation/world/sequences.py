"""The sequences of a seed, and which rules it tries out. Not every seed has every rule: what
needs one alone is found where the others do not stand in its way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from leadflow.records import SequencePublished
from leadflow.records.common import Arm, Condition, SendWindow, SequenceStep, Trigger
from leadflow.tenants import Tenant

from .durable import START

TENANT = "acme"
WELCOME = f"{TENANT}.welcome"  # entered by being created, once
REACTIVATE = f"{TENANT}.reactivate"  # entered by being silent for DORMANT_DAYS
DORMANT_DAYS = 3
RETENTION_DAYS = 60  # nobody is forgotten while the story goes on
NURTURE = f"{TENANT}.nurture"  # entered by hand, as often as somebody asks for it
DELAYS = (0, 0, 5, 45, 240, 1440)  # minutes
STOPS = (("reply",), ("reply", "booking"), ("booking",), ("reply", "won", "account_reply"))
WINDOWS = (
    SendWindow(start="09:00", end="17:00", days=(), holidays=True),
    SendWindow(start="08:30", end="12:15", days=("mon", "tue", "thu", "sat"), holidays=True),
    SendWindow(start="19:00", end="02:00", days=(), holidays=True),
)
ZONES = ("America/Chicago", "Asia/Kathmandu", "Pacific/Chatham", "Australia/Lord_Howe")


@dataclass(frozen=True)
class Features:
    """What a seed tries out. `cap`: so many messages a lead gets in a day; 0: any number."""

    intake: bool
    crm: bool
    hours: bool
    cap: int
    arms: bool
    blocks: bool
    versions: bool
    conditions: bool
    resends: bool
    silence: bool
    portal: bool

    @classmethod
    def drawn(cls, rng: Random) -> Features:
        silence = rng.random() < 0.2
        return cls(
            silence=silence,
            intake=rng.random() < 0.3,
            crm=rng.random() < 0.25,
            hours=rng.random() < 0.35,
            cap=rng.choice((0, 0, 0, 1, 2)),
            arms=rng.random() < 0.3,
            blocks=rng.random() < 0.3 and not silence,
            versions=rng.random() < 0.3,
            conditions=rng.random() < 0.35,
            resends=rng.random() < 0.35,
            portal=rng.random() < 0.2,
        )

    def tenants(self) -> dict[str, Tenant]:
        tenant = Tenant(
            tenant_id=TENANT,
            name="Acme Roofing",
            owners=("dana",),
            postal_address="Acme Roofing, 400 Congress Ave, Austin, TX 78701",
            message_cap=self.cap,
            cap_days=1,
            retention_days=RETENTION_DAYS if self.silence else 0,
        )
        return {TENANT: tenant}


def key_of(definition: SequencePublished) -> str:
    return f"{definition.sequence_id}:{definition.version}"


def first_versions(rng: Random, features: Features) -> list[SequencePublished]:
    """Two sequences of one to four steps, or three."""
    found = [
        SequencePublished(
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
            reentry_days=RETENTION_DAYS - 10 if reentry == "after_days" else 0,
            priority=rng.choice((50, 50, 80)),
            stop_on=rng.choice(STOPS),
            steps=tuple(_step(rng, number, features) for number in range(rng.randint(1, 4))),
            window=rng.choice(WINDOWS) if features.hours and rng.random() < 0.7 else None,
        )
        for name, trigger, reentry in (
            # A line of which nothing is to be entered again is kept for good.
            (WELCOME, ("stage", "new"), "after_days" if features.silence else "never"),
            (NURTURE, ("manual", ""), "always"),
            (REACTIVATE, ("dormant", str(DORMANT_DAYS)), "always"),
        )
    ]
    return found if features.silence else found[:2]


def second_version(rng: Random, first: SequencePublished, features: Features) -> SequencePublished:
    """The same with a step removed, added, edited or elsewhere."""
    steps = list(first.steps)
    for _ in range(rng.randint(1, 2)):
        match rng.randrange(4):
            case 0 if len(steps) > 1:
                steps.pop(rng.randrange(len(steps)))
            case 1:
                new = _step(rng, 10 + len(steps), features)
                if all(each.step_id != new.step_id for each in steps):
                    steps.insert(rng.randint(0, len(steps)), new)
            case 2:
                place = rng.randrange(len(steps))
                steps[place] = replace(steps[place], delay_minutes=rng.choice(DELAYS))
            case _:
                steps.reverse()
    return replace(first, version=2, event_id=f"{first.sequence_id}-2", steps=tuple(steps))


def _step(rng: Random, number: int, features: Features) -> SequenceStep:
    channel = rng.choice(("email", "email", "call" if features.hours else "task", "task"))
    arms: tuple[Arm, ...] = ()
    if features.arms and rng.random() < 0.7:
        arms = tuple(
            Arm(name=name, weight=1, template_name="template", subject=name, body=f"arm {name}")
            for name in ("a", "b")
        )
    return SequenceStep(
        step_id=f"step-{number}",
        channel=channel,
        delay_minutes=rng.choice(DELAYS),
        delay_from=rng.choice(("enrollment", "previous")),
        template_name="template",
        subject="About your roof",
        body="Hello",
        blocks=features.blocks and channel != "email" and rng.random() < 0.6,
        arms=arms,
        condition=_condition(rng, number) if features.conditions and number else None,
    )


def _condition(rng: Random, number: int) -> Condition | None:
    """What became of an earlier message."""
    if rng.random() < 0.4:
        return None
    value = rng.choice(("sent", "delivered", "bounced", "delivered, bounced"))
    field = f"message.step-{rng.randrange(min(number, 4))}"
    return Condition(field=field, op=rng.choice(("eq", "ne", "in")), value=value)

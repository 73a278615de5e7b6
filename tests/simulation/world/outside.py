"""What comes from outside: what leads say, what people ask for, what providers report, what is
published and paused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from dispatcher.controls import Controls
from dispatcher.facts import Suppression
from leadflow import topics
from leadflow.kafka.port import Outgoing
from leadflow.records import (
    AutomationPaused,
    EnrollmentPauseRequested,
    MessageQueued,
    SequencePublished,
)
from sequencer.pauses import AutomationPauses
from sequencer.sequences import PublishedSequences

from .dispatcher import FakeProvider
from .durable import Durable
from .intake import IntakeTables
from .ledger import Tables
from .people import People
from .sequencer import Views
from .sequences import REACTIVATE, Features, first_versions, key_of, second_version
from .story import CODEC, COMMANDS, REPORTS, Happening, Story, email_of, make, report, told
from .watch import Watch

ENROLLMENT_EVENTS = topics.ENROLLMENT_EVENTS.name


@dataclass
class Outside:
    """`pass_time` lets time go on."""

    rng: Random
    durable: Durable
    features: Features
    watch: Watch
    tables: Tables
    provider: FakeProvider
    intake_tables: IntakeTables
    pass_time: Callable[[int], Awaitable[None]]
    told: list[Happening] = field(default_factory=list)
    done: set[str] = field(default_factory=set)
    stops: int = 0

    def __post_init__(self) -> None:
        rng, features = self.rng, self.features
        self.controls = Controls(CODEC)
        self.pauses = AutomationPauses(CODEC)
        self.sequences = PublishedSequences(CODEC)
        self.views = Views(self.sequences, self.pauses)
        self.definitions: dict[str, SequencePublished] = {}
        first = first_versions(rng, features)
        self._unpublished = [
            second_version(rng, each, features)
            for each in first
            if features.versions and rng.random() < 0.8
        ]
        for definition in first:
            self._publish(definition)
        self.story = Story(rng, features, self._who, self._migratable, self._resendable)
        self.people = People(rng, self.durable, features, self._whose)
        self._refusals = rng.choice((0, 0, 1))

    def _who(self, number: int) -> str | None:
        return self._whose(email_of(number))

    def _whose(self, email: str) -> str | None:
        """The lead that intake knows by that address."""
        for key, leads in self.intake_tables.identities.items():
            if key.kind == "email" and key.value == email:
                return leads[0]
        return None

    def _migratable(self) -> list[str]:
        return sorted(
            name.removesuffix(":2") for name in self.watch.published if name.endswith(":2")
        )

    def _resendable(self, lead: str) -> list[str]:
        return [
            each.record.message_id
            for each in self.watch.queued
            if each.record.lead_id == lead
            and each.record.first_message_id is None
            and ":" not in (each.record.step_id or "")
        ]

    def _publish(self, definition: SequencePublished) -> None:
        name = key_of(definition)
        self.durable.note("publishes", name)
        self.definitions[name] = definition
        self.watch.published |= {name}
        self.sequences.apply(name.encode(), CODEC.encode(definition))

    def publish_next(self) -> bool:
        """A second version, if there is one that is not published."""
        if self._unpublished:
            self._publish(self._unpublished.pop())
            return True
        return False

    async def tell(self) -> None:
        """A source record arrives, perhaps twice; or one from before arrives again."""
        await self.pass_time(1)
        happening = self.story.next(self.durable.clock.now())
        if happening is None:
            if self.told:
                self._append(self.rng.choice(self.told))
        elif not self.people.takes(happening):
            self.told.append(happening)
            self._append(happening)
            if self.rng.random() < 0.15:
                self._append(happening)

    def _append(self, happening: Happening) -> None:
        self.durable.note("arrives", happening.name, "of", happening.key[:8])
        self.durable.append(Outgoing(happening.topic, happening.key.encode(), happening.value))

    def control(self, scope: str, *, pause: bool) -> None:
        self.durable.note("pauses" if pause else "resumes", scope)
        paused = self.watch.paused
        self.watch.paused = paused | {scope} if pause else paused - {scope}
        control = CODEC.encode(_pause(scope, self.durable)) if pause else None
        self.pauses.apply(scope.encode(), control)
        self.controls.apply(scope.encode(), control)

    async def report(self) -> None:
        """A provider says what became of a message: one transaction, then the log."""
        taken = self.rng.choice(self.provider.accepted)
        await self.pass_time(1)
        now = self.durable.clock.now()
        (what,) = self.rng.choices(list(REPORTS), list(REPORTS.values()))
        if what in ("hard", "complained"):
            if not self._refusals:
                return
            self._refusals -= 1
        record = report(what, taken.lead_id, taken.message_id, now)
        self.durable.count += 1
        self.durable.note("reports", record.event_id)
        if what in ("hard", "complained"):
            fact = Suppression(
                tenant_id=record.tenant_id,
                channel="email",
                address=self.tables.lines[taken.message_id].arrival.recipient.lower(),
                reason="bounce" if what == "hard" else "complaint",
                active=True,
                cause_id=record.event_id,
                at=now,
            )
            self.tables.remember(self.durable.count, [fact])
        self.tables.outbox.append((record.lead_id.encode(), CODEC.encode(record)))

    async def stop_what_silence_began(self) -> None:
        """Somebody saw an enrollment in the log, whatever became of the worker that told of it."""
        seen = [
            record
            for place, log in self.durable.logs.items()
            if place.topic == ENROLLMENT_EVENTS
            for message in log
            if (record := CODEC.decode(message.value)).TYPE == "Enrolled"
            and getattr(record, "sequence_id", "") == REACTIVATE
        ]
        if seen and self.stops < 2:
            await self.pass_time(1)
            self.stops += 1
            enrolled: Any = self.rng.choice(seen)
            self._command(
                "EnrollmentStopRequested",
                enrolled.lead_id,
                f"enough-{self.stops}",
                {"enrollment_id": enrolled.enrollment_id, "requested_by": "ops"},
            )

    def resume_enrollments(self) -> None:
        for record in self._commands():
            if isinstance(record, EnrollmentPauseRequested):
                fields = {"enrollment_id": record.enrollment_id, "requested_by": "ops"}
                name = f"calm-{record.event_id}"
                self._command("EnrollmentResumeRequested", record.lead_id, name, fields)

    def open_tasks(self) -> list[MessageQueued]:
        """Tasks and calls on somebody's list, each once: whoever did one does not do it again."""
        queued = [each.record for each in self.watch.queued if each.record.channel != "email"]
        return [each for each in queued if each.message_id not in self.done]

    def complete_tasks(self) -> None:
        for task in self.open_tasks() if self.features.blocks else ():
            if task.message_id not in self.done:
                self.done.add(task.message_id)
                fields = {"message_id": task.message_id, "completed_by": "dana"}
                self._command("TaskCompleted", task.lead_id, f"done-{task.message_id}", fields)

    def _commands(self) -> list[Any]:
        return [
            CODEC.decode(message.value)
            for place, log in self.durable.logs.items()
            if place.topic == COMMANDS
            for message in log
        ]

    def _command(self, kind: str, lead: str, name: str, fields: Mapping[str, Any]) -> None:
        self._append(told(COMMANDS, make(kind, lead, name, self.durable.clock.now(), **fields)))


def _pause(scope: str, durable: Durable) -> AutomationPaused:
    now = durable.clock.now()
    return AutomationPaused(
        event_id=f"pause-{scope}",
        tenant_id="acme",
        occurred_at=now,
        recorded_at=now,
        source="portal-api",
        scope=scope,
        workflow="",
        reason="",
        rollback="",
        verification_status="open",
        paused_by="ops",
    )

"""What must have been queued, worked out from the definitions and from what happened to a lead.

It shares nothing with the sequencer's `decide`: it knows passages, due times and stops, and goes
through what became durable in the order in which that happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from leadflow import ids
from leadflow.records import LeadRecord, SequencePublished, SequenceStep

from . import hours
from .passage import Passage, owner_task, scopes
from .sequences import DORMANT_DAYS, NURTURE, REACTIVATE, RETENTION_DAYS, WELCOME

OUT_OF_OFFICE = timedelta(days=3)
DAY = timedelta(days=1)
CLOSING_STAGE = "won"
# With these the lead itself says that it is not away.
OWN_ACTS = frozenset({"ReplyReceived", "BookingMade", "ConsentChanged"})


class LeadModel:
    """One lead. `refused_at` is the effect with which its e-mail was refused; `cap` how many
    messages it gets in a day, 0 for any number."""

    def __init__(self, lead: str, sequences: Mapping[str, SequencePublished], cap: int) -> None:
        self.lead = lead
        self.passages: list[Passage] = []
        self.refused_at: int | None = None
        self.zone = "UTC"
        self.away: datetime | None = None
        self._cap = cap
        self._sent: list[datetime] = []
        self._sequences = sequences
        self._created = False
        self._stage = (-1, "")
        self._revision = -1
        self._seen: set[str] = set()
        self.silent_since: datetime | None = None
        self.unwanted_since: datetime | None = None  # a complaint, an address that is none
        self.woken = False  # since then
        self.touched: datetime | None = None
        self.wrong: list[str] = []
        self.resent: list[str] = []  # ids of messages that went out again
        self.refused: set[str] = set()  # and of those that were not to
        self._stopped: set[str] = set()  # enrollments that somebody stopped before they began

    @property
    def live(self) -> list[Passage]:
        return [each for each in self.passages if not each.ended]

    def apply(
        self,
        record: LeadRecord | None,
        now: datetime,
        paused: frozenset[str],
        published: frozenset[str],
        count: int,
    ) -> None:
        """What was decided at `now` about a record, or a timer, is durable as effect `count`."""
        if record is not None and record.event_id not in self._seen:
            self._seen.add(record.event_id)
            # What else is said of messages may be of no concern.
            if record.TYPE == "MessageComplained" or not record.TYPE.startswith("Message"):
                self.touched = now
            self._happen(record, now, published, count)
            self._listen(record, now)
            if record.TYPE == "ResendRequested":
                self._resend(record, now, paused)
        while due := [each for each in self.live if each.is_due(now, paused)]:
            # The cap may leave room for one of them only.
            first = min(
                due, key=lambda each: (-each.sequence.priority, each.due, each.enrollment_id)
            )
            self._advance(first, now, count)
        for passage in self.passages:
            if passage.ended and passage.ended_on is None:
                passage.ended_on = now

    def _listen(self, record: LeadRecord, now: datetime) -> None:
        """The lead did something itself."""
        acts = {"LeadCreated", "ReplyReceived", "BookingMade", "ConsentChanged"}
        if self._created and record.TYPE in acts and not getattr(record, "automatic", False):
            self._be_silent(min(record.recorded_at, now))

    def _be_silent(self, at: datetime) -> None:
        """Its silence counts from `at`, unless from later already."""
        if self.silent_since is None or at > self.silent_since:
            self.silent_since, self.woken = at, False

    def wake(
        self, enrolled_at: datetime, now: datetime, published: frozenset[str], count: int
    ) -> None:
        """It was enrolled for its silence; its first step is for the next decision."""
        if not self.may_be_woken() or now < self._dormant_at():
            self.wrong.append(f"WOKEN for nothing: lead {self.lead[:8]}")
        self.woken = True
        self._enter(REACTIVATE, enrolled_at, published, count)

    def may_be_woken(self) -> bool:
        """Whether it is to be, as soon as it was silent for long enough."""
        since = self.silent_since
        return (
            since is not None
            and self._created
            and not self.woken
            and not self.live
            and self._stage[1] != CLOSING_STAGE
            and all(each.ended_on is None or each.ended_on < since for each in self._refusals())
            and (self.unwanted_since is None or self.unwanted_since < since)
        )

    def _refusals(self) -> list[Passage]:
        """Of each sequence only how the last passage ended is remembered."""
        last = {each.sequence.sequence_id: each for each in self.passages}
        return [each for each in last.values() if each.ended in ("bounce", "complaint")]

    def versions(self, sequence_id: str) -> list[SequencePublished]:
        return [each for each in self._sequences.values() if each.sequence_id == sequence_id]

    def looked_at(self, now: datetime) -> None:
        """A timer went off, and nothing came of it."""
        if not self.may_be_woken() or any(e.ended_on == now for e in self.passages):
            return
        forgotten = self._silent() + timedelta(days=RETENTION_DAYS)
        if self._dormant_at() <= now < forgotten:
            self.wrong.append(f"NOT WOKEN: lead {self.lead[:8]}")

    def _dormant_at(self) -> datetime:
        return self._silent() + timedelta(days=DORMANT_DAYS)

    def _silent(self) -> datetime:
        """Since when its silence counts: whoever was taken out by hand is silent from then on."""
        assert self.silent_since is not None
        last = {each.sequence.sequence_id: each for each in self.passages}
        by_hand = [e.ended_on for e in last.values() if e.ended == "manual" and e.ended_on]
        return max([self.silent_since, *by_hand])

    def is_kept(self) -> bool:
        """Whether something of it is needed for good: a refusal."""
        unwanted = self.unwanted_since is not None or bool(self._refusals())
        return unwanted or self.refused_at is not None

    def forget(self, now: datetime) -> None:
        touched = self.touched or now
        if self.live or self.is_kept() or now < touched + timedelta(days=RETENTION_DAYS):
            self.wrong.append(f"FORGOTTEN too soon: lead {self.lead[:8]}")

    def _advance(self, passage: Passage, now: datetime, count: int) -> None:
        """A step is due: it goes out, is left out, or has to wait."""
        step = passage.step
        if not passage.meets(step):
            passage.index += 1
            self._schedule(passage, now, count)
            return
        wanted = hours.windows(passage.sequence, step.channel)
        if (back := self._back(passage, now)) is not None:
            passage.due = hours.opens(wanted, self.zone, back)
            return
        if not hours.is_open(wanted, self.zone, now):
            passage.due = hours.opens(wanted, self.zone, now)
            return
        if step.channel == "email" and self._cap and len(self._sent) >= self._cap:
            free = self._sent[-self._cap] + DAY
            if free > now:
                passage.due = hours.opens(wanted, self.zone, free)
                return
        passage.index += 1
        if step.channel != "email" or self.refused_at is None:
            passage.must.append(passage.message_id(step.step_id))
            if step.channel == "email":
                self._sent.append(now)
            elif step.blocks and step.step_id not in passage.done:
                passage.waits_for = step.step_id
                return
        self._schedule(passage, now, count)

    def _schedule(
        self,
        passage: Passage,
        after: datetime,
        count: int,
        *,
        begins: bool = False,
        earliest: datetime | None = None,
    ) -> None:
        """When the next step is due, the one before being done at `after`."""
        passage.stepped_at = after
        steps = passage.sequence.steps
        while passage.index < len(steps) and passage.step.step_id in passage.passed:
            passage.index += 1
        if passage.index == len(steps):
            passage.end("completed", count)
            return
        step = passage.step
        base = after if step.delay_from == "previous" else passage.enrolled_at
        due = max(earliest or after, base + timedelta(minutes=step.delay_minutes))
        wanted = hours.windows(passage.sequence, step.channel)
        if (back := self._back(passage, due)) is not None:
            passage.due = hours.opens(wanted, self.zone, back)
            passage.holds.append((count, passage.index, back))
            return
        passage.due = hours.opens(wanted, self.zone, due)
        first_touch_waits = passage.index == 0 and passage.due > due and step.channel == "email"
        if begins and first_touch_waits and self.refused_at is None:
            passage.must.append(passage.message_id(owner_task(step)))

    def _back(self, passage: Passage, at: datetime) -> datetime | None:
        """When the person is back whom an automatic answer said to be away, if after `at`."""
        away = self.away if "reply" in passage.sequence.stop_on else None
        return away if away is not None and away > at else None

    def _happen(
        self, record: LeadRecord, now: datetime, published: frozenset[str], count: int
    ) -> None:
        enrollment_id = getattr(record, "enrollment_id", None)
        named = [each for each in self.live if each.enrollment_id == enrollment_id]
        if self._created and record.TYPE in OWN_ACTS and not getattr(record, "automatic", False):
            self.away = None
        match record.TYPE:
            case "LeadCreated" | "LeadUpdated" | "StageChanged":
                self._follow(record, now, published, count)
            case "EnrollRequested":
                if self._created and all(
                    each.sequence.sequence_id != NURTURE for each in self.live
                ):
                    self._enter(NURTURE, record.recorded_at, published, count)
            case "ReplyReceived" if getattr(record, "automatic", False):
                until = record.occurred_at + OUT_OF_OFFICE
                self.away = until if self.away is None else max(self.away, until)
                for passage in self.live:
                    passage.hold(until, count)
            case "ReplyReceived":
                self._stop("reply", count)
            case "AccountReplied":
                self._stop("account_reply", count)
            case "BookingMade":
                self._stop("booking", count)
            case "ConsentChanged":
                self.refused_at = count if self.refused_at is None else self.refused_at
                self._stop("opt_out", count)
            case "MessageSent" | "MessageDelivered":
                what = record.TYPE.removeprefix("Message").lower()
                for passage in self.live:
                    passage.note(getattr(record, "message_id", ""), what)
            case "MessageBounced" if getattr(record, "bounce_type", "") != "hard":
                for passage in self.live:
                    passage.note(getattr(record, "message_id", ""), "bounced")
            case "MessageBounced":
                self.unwanted_since = min(record.recorded_at, now)
                self._stop("bounce", count)
            case "MessageComplained":
                self.unwanted_since = min(record.recorded_at, now)
                self._stop("complaint", count)
            case "EnrollmentPauseRequested" | "EnrollmentResumeRequested":
                for passage in named:
                    passage.paused = record.TYPE == "EnrollmentPauseRequested"
            case "EnrollmentStopRequested":
                for passage in named:
                    passage.end("manual", count)
                if all(each.enrollment_id != enrollment_id for each in self.passages):
                    self._stopped.add(str(enrollment_id))
            case "EnrollmentMigrateRequested":
                for passage in named:
                    self._migrate(passage, getattr(record, "to_version", 0), now, count)
            case "TaskCompleted":
                for passage in self.live:
                    self._do(passage, getattr(record, "message_id", ""), now, count)

    def _resend(self, record: Any, now: datetime, paused: frozenset[str]) -> None:
        """It goes out now, if nothing speaks against it."""
        again = ids.derived_id("resend", record.message_id, record.event_id)
        self.refused.add(again)
        for passage in self.passages:
            for index, step in enumerate(passage.sequence.steps):
                if passage.message_id(step.step_id) == record.message_id and self._may_go(
                    passage, index, now, paused
                ):
                    self.refused.remove(again)
                    self.resent.append(again)
                    if not passage.ended:
                        passage.resent[again] = step.step_id
                    if step.channel == "email":
                        self._sent.append(now)

    def _may_go(self, passage: Passage, index: int, now: datetime, paused: frozenset[str]) -> bool:
        step, sequence = passage.sequence.steps[index], passage.sequence
        name = sequence.sequence_id
        over = [each for each in self.passages if each.ended and each.sequence.sequence_id == name]
        # Of those that are over only how the last one ended is remembered.
        stopped = passage.ended not in ("", "completed") and passage is over[-1]
        mail = step.channel == "email"
        full = mail and self._cap and len(self._sent) >= self._cap
        return not (
            stopped
            or (not passage.ended and index >= passage.index)
            or passage.paused
            or paused & scopes(sequence.sequence_id, step.channel)
            or self._back(passage, now) is not None
            or not hours.is_open(hours.windows(sequence, step.channel), self.zone, now)
            or (full and self._sent[-self._cap] + DAY > now)
            or (mail and self.refused_at is not None)
        )

    def _do(self, passage: Passage, message_id: str, now: datetime, count: int) -> None:
        """A task was done, perhaps before its step counted as done here."""
        if passage.waits_for and passage.message_id(passage.waits_for) == message_id:
            passage.waits_for = ""
            self._schedule(passage, now, count)
            return
        names = [each.step_id for each in passage.sequence.steps[passage.index :]]
        passage.done |= {each for each in names if passage.message_id(each) == message_id}

    def _follow(self, record: Any, now: datetime, published: frozenset[str], count: int) -> None:
        """A profile or a stage: the highest revision is the newest, whenever it comes."""
        stage = record.to_stage if record.TYPE == "StageChanged" else record.stage
        news = record.revision > self._stage[0]
        entered = stage if news and stage != self._stage[1] else ""
        begins = record.TYPE == "LeadCreated" and not self._created
        if entered and self._stage[1] == CLOSING_STAGE and not begins:
            self._be_silent(min(record.recorded_at, now))  # somebody takes it back
        if news:
            self._stage = (record.revision, stage)
        if record.TYPE != "StageChanged" and record.revision > self._revision:
            self._revision, self.zone = record.revision, record.timezone
            for grant in record.consent:
                if grant.channel == "email" and not grant.granted and self.refused_at is None:
                    self.refused_at = count
        if record.TYPE == "LeadCreated" and not self._created:
            self._created = True
            self._enter(WELCOME, record.recorded_at, published, count)
            entered = "" if news else self._stage[1]
        if self._created and entered == CLOSING_STAGE:
            self._stop(entered, count)

    def _enter(self, sequence_id: str, at: datetime, published: frozenset[str], count: int) -> None:
        entry = 1 + sum(each.sequence.sequence_id == sequence_id for each in self.passages)
        version = 2 if f"{sequence_id}:2" in published else 1
        passage = Passage(self.lead, self._sequences[f"{sequence_id}:{version}"], entry, at)
        self.passages.append(passage)
        if passage.enrollment_id in self._stopped:
            passage.end("manual", count)
        else:
            self._schedule(passage, at, count, begins=True)

    def _migrate(self, passage: Passage, version: int, now: datetime, count: int) -> None:
        """It goes on at the step that it stands on; if that is gone at the first later one that
        is still there; else behind the last that is behind it."""
        old = passage.sequence
        if old.version == version:
            return
        new = self._sequences[f"{old.sequence_id}:{version}"]
        standing = old.steps[passage.index] if passage.index < len(old.steps) else None
        behind = passage.passed | {each.step_id for each in old.steps[: passage.index]}
        left = [each.step_id for each in old.steps[passage.index :] if each.step_id not in behind]
        there = [each.step_id for each in new.steps]
        place = next((there.index(each) for each in left if each in there), None)
        if place is None:
            place = max((there.index(each) + 1 for each in behind if each in there), default=0)
        while place < len(there) and there[place] in behind:
            place += 1
        passage.sequence, passage.passed, passage.index = new, frozenset(behind), place
        passage.moved = True
        task = passage.waits_for
        if task and not any(each.step_id == task and each.blocks for each in new.steps):
            passage.waits_for = ""
            self._schedule(passage, now, count)
            return
        same = (
            place < len(there)
            and standing is not None
            and (old.window, *_timing(standing)) == (new.window, *_timing(new.steps[place]))
        )
        if not passage.waits_for and not same:
            self._schedule(passage, passage.stepped_at, count, earliest=now)

    def _stop(self, rule: str, count: int) -> None:
        for passage in self.live:
            always = rule in ("opt_out", "bounce", "complaint")
            if always or rule in passage.sequence.stop_on:
                passage.end(rule, count)


def _timing(step: SequenceStep) -> tuple[str, str, int, str]:
    """What a step's time depends on here."""
    return step.step_id, step.channel, step.delay_minutes, step.delay_from

"""Sequences, tenants and lives of a lead as Hypothesis draws them, and what is always so of them.

The rules are read anew from the product page, by zoneinfo and the holidays package alone: none
of `sequencer.decide` is used to check what it did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from holidays import country_holidays
from hypothesis import strategies as st

from leadflow.records import ConsentGrant, LeadRecord, MessageQueued, SequencePublished
from leadflow.records.common import Arm, Condition, SendWindow, SequenceStep
from sequencer.decide import decide
from sequencer.model import LeadRow

ZONES = (
    "UTC", "America/Chicago", "America/St_Johns", "America/Sao_Paulo", "Europe/Dublin",
    "Africa/Casablanca", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Chatham",
    "Pacific/Apia", "Antarctica/Troll",
)  # fmt: skip
# Days of clocks that go forward or back, of holidays in a row, and one like any other.
STARTS = (0, 5, 23, 45, 59, 115, 130, 152, 153, 326, 333)  # days after 2026-11-02
WINDOWS = (
    ("09:00", "17:00"), ("00:00", "24:00"), ("12:00", "12:10"), ("20:00", "09:30"),
    ("01:30", "08:20"), ("18:00", "02:30"),
)  # fmt: skip
WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
QUIET = {"sms": ("08:00", "21:00"), "call": ("08:00", "21:00")}
TO_THE_LEAD = ("email", "sms", "whatsapp")
ALWAYS = {"opt_out": "opt_out", "MessageBounced": "bounce", "MessageComplained": "complaint"}
WHEN_ASKED = {"ReplyReceived": "reply", "BookingMade": "booking", "won": "won", "lost": "lost"}
SCOPES = ("everything", "tenant:acme", "channel:acme:email", "channel:acme:task",
          "sequence:acme:acme.one", "sequence:acme:two")  # fmt: skip
HORIZON = 400 * 24 * 60

HOT = Condition(field="temperature", op="eq", value="hot")

Happening = tuple[str, int, int]
"""What happens, how many minutes after the one before, and a number to choose by."""


@dataclass(frozen=True)
class Plan:
    """All that is drawn but what happens."""

    zone: str
    start: int  # minutes after the story's own start
    tenant: dict[str, Any]
    sequences: tuple[dict[str, Any], ...]


def _named(steps: list[SequenceStep]) -> tuple[SequenceStep, ...]:
    names = "abcdefgh"
    return tuple(
        SequenceStep(
            **{
                **_values(step),
                "step_id": names[place],
                "condition": HOT if step.channel == "condition" else step.condition,
            }
        )
        for place, step in enumerate(steps)
    )


def _values(step: SequenceStep) -> dict[str, Any]:
    return {name: getattr(step, name) for name in SequenceStep.__slots__}


ARMS = st.lists(st.integers(0, 3), min_size=2, max_size=3).map(
    lambda weights: tuple(
        Arm(name=f"arm-{n}", weight=weight, template_name="t", subject="s", body=f"arm {n}")
        for n, weight in enumerate(weights)
    )
)


def steps(channels: tuple[str, ...]) -> st.SearchStrategy[tuple[SequenceStep, ...]]:
    one = st.builds(
        SequenceStep,
        step_id=st.just(""),
        channel=st.sampled_from(channels),
        delay_minutes=st.sampled_from((45, 3_000, 0, 600, 9_000)),
        delay_from=st.sampled_from(("enrollment", "previous")),
        template_name=st.just("template"),
        subject=st.just("subject"),
        body=st.just("body"),
        condition=st.sampled_from((*[None] * 6, HOT)),
        delay_days=st.sampled_from((0, 0, 0, 1, 3)),
        delay_business_days=st.sampled_from((0, 0, 0, 1, 4)),
        spread_minutes=st.sampled_from((0, 0, 30, 400)),
        blocks=st.sampled_from((False, True, False)),
        otherwise=st.sampled_from(("", "c", "e")),
        arms=st.one_of(st.just(()), ARMS),
    )
    return st.lists(one, min_size=3, max_size=5).map(_named)


CHANNELS = ("email", "email", "sms", "email", "call", "task", "wait", "condition")
WINDOW = st.one_of(
    st.none(),
    st.builds(
        lambda hours, days, open_on_holidays: SendWindow(
            start=hours[0], end=hours[1], days=days, holidays=open_on_holidays
        ),
        st.sampled_from(WINDOWS),
        st.lists(st.sampled_from(WEEK), unique=True, max_size=4).map(tuple),
        st.booleans(),
    ),
)
TENANT = st.fixed_dictionaries(
    {
        "holidays": st.sampled_from(("", "US", "US-TX", "DE")),
        "message_cap": st.sampled_from((0, 0, 1, 2)),
        "cap_days": st.integers(1, 4),
        "owners": st.just(("dana", "eli")),
    }
)
TRIGGERS = (("stage", "new"), ("event", "call_missed"), ("manual", ""))


def sequence(
    trigger: tuple[str, str], channels: tuple[str, ...]
) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "steps": steps(channels),
            "trigger": st.just(trigger),
            "window": WINDOW,
            "priority": st.sampled_from((10, 50, 50)),
            "exclusive_group": st.sampled_from(("", "", "one")),
            "reentry_rule": st.sampled_from(("never", "always")),
            "stop_on": st.lists(
                st.sampled_from(("reply", "booking", "won", "lost")), unique=True
            ).map(tuple),
        }
    )


def plans(channels: tuple[str, ...] = CHANNELS) -> st.SearchStrategy[Plan]:
    return st.builds(
        Plan,
        zone=st.sampled_from(ZONES),
        start=st.builds(
            lambda day, minute: day * 1440 + minute, st.sampled_from(STARTS), st.integers(0, 1439)
        ),
        tenant=TENANT,
        sequences=st.tuples(*(sequence(each, channels) for each in TRIGGERS)),
    )


KINDS = (
    "due", "EnrollRequested", "CallMissed", "due", "time", "ReplyReceived", "pause-scope", "due",
    "BookingMade", "opt_out", "pause", "repeat", "task_done", "EnrollRequested", "due", "stop",
    "won", "MessageBounced", "lost", "MessageComplained", "automatic", "opt_in", "resume", "due",
    "resume-scope", "LeadUpdated", "LeadQualified", "contacted", "CallMissed",
)  # fmt: skip

STOPPING = (
    "due", "BookingMade", "EnrollRequested", "ReplyReceived", "CallMissed", "opt_out", "won",
    "lost", "MessageBounced", "MessageComplained", "repeat",
)  # fmt: skip
LATE = ("time", "EnrollRequested", "pause-scope", "CallMissed", "resume-scope", "pause", "resume")


def happenings(kinds: tuple[str, ...] = KINDS) -> st.SearchStrategy[list[Happening]]:
    gaps = st.sampled_from((0, 0, 1, 30, 500, 1_500, 9_000))
    one = st.tuples(st.sampled_from(kinds), gaps, st.integers(0, 11))
    return st.lists(one, min_size=5, max_size=20)


class Life:
    """One lead to whom all this happens. `story` and `words` are those of the conftest."""

    def __init__(self, words: Any, plan: Plan) -> None:
        self.words = words
        self.plan = plan
        self.story = words.story(**plan.tenant)
        self.definitions: dict[str, SequencePublished] = {}
        for name, each in zip(("one", "two", "three"), plan.sequences, strict=True):
            fields = {key: value for key, value in each.items() if key != "steps"}
            made = self.story.publish(name, *each["steps"], **fields)
            self.definitions[made.sequence_id] = made
        self.minute = float(plan.start)
        self.events: list[LeadRecord] = []
        self.stopped: dict[str, str] = {}
        self.late: list[str] = []
        self._revision = 1
        self._over: set[str] = set()
        yes = ConsentGrant(channel="sms", granted=True, basis="form", at=words.at(self.minute))
        self.happens("LeadCreated", timezone=plan.zone, consent=(yes,))

    @property
    def told(self) -> list[Any]:
        told: list[Any] = self.story.told
        return told

    @property
    def row(self) -> LeadRow:
        row = self.story.row
        assert isinstance(row, LeadRow)
        return row

    def live(self, happenings: Iterable[Happening]) -> Life:
        for what, gap, number in happenings:
            if what != "due":
                self.minute += gap
            self._one(what, number)
        return self

    def to_the_end(self) -> Life:
        """Everything that waits for a person is let go, and time runs out."""
        for scope in SCOPES:
            self.story.resume(scope)
        for each in self.row.live:
            self.happens("EnrollmentResumeRequested", enrollment_id=each.enrollment_id)
        for _ in range(400):
            for each in self.row.live:
                if each.waits_for:
                    self._done(each.enrollment_id, each.waits_for)
            if not self.row.live:
                return self
            self._next_due()
        raise AssertionError(f"there is always more to come: {self.row.live}")

    def happens(self, kind: str, **fields: Any) -> None:
        event = self.story.event(kind, self.minute, **fields)
        self.events.append(event)
        self._watch(lambda: self.story.happens(event), event)

    def _one(self, what: str, number: int) -> None:
        story = self.story
        live = self.row.live
        match what:
            case "time":
                self._watch(lambda: story.passes(self.minute))
            case "due":
                self._next_due()
            case "opt_out" | "opt_in":
                channel = ("email", "sms", "all")[number % 3]
                self.happens("ConsentChanged", channel=channel, granted=what == "opt_in")
            case "won" | "lost" | "contacted":
                self._revision += 1
                self.happens("StageChanged", to_stage=what, revision=self._revision)
            case "LeadUpdated":
                self._revision += 1
                stage = self.row.stage
                self.happens(what, revision=self._revision, timezone=self.plan.zone, stage=stage)
            case "automatic":
                self.happens("ReplyReceived", automatic=True)
            case "EnrollRequested":
                self.happens(what, sequence_id=f"acme.{('one', 'two', 'three')[number % 3]}")
            case "pause" | "resume" | "stop":
                if live:
                    kind = f"Enrollment{what.title()}Requested"
                    self.happens(kind, enrollment_id=live[number % len(live)].enrollment_id)
            case "pause-scope":
                story.pause(SCOPES[number % len(SCOPES)])
            case "resume-scope":
                story.resume(SCOPES[number % len(SCOPES)])
            case "task_done":
                for each in live:
                    if each.waits_for:
                        self._done(each.enrollment_id, each.waits_for)
            case "repeat":
                event = self.events[-1 - number % len(self.events)]
                self._watch(lambda: story.happens(event, self.minute))
            case _:
                self.happens(what)

    def _done(self, enrollment_id: str, step_id: str) -> None:
        queued = [
            each
            for each in self.told
            if isinstance(each, MessageQueued)
            and (each.enrollment_id, each.step_id) == (enrollment_id, step_id)
        ]
        self.happens("TaskCompleted", message_id=queued[0].message_id)

    def _next_due(self) -> None:
        """Time goes on to the next thing that is due, if that is within reach."""
        times = [
            each.due_at
            for each in self.row.live
            if not each.paused_by and not each.held_by and not each.waits_for
        ]
        ahead = [minutes for at in times if (minutes := self._minutes(at)) >= self.minute]
        self.minute = min([*ahead, self.minute + HORIZON])
        self._watch(lambda: self.story.passes(self.minute))

    def _minutes(self, at: datetime) -> float:
        return (at - self.words.at(0)) / timedelta(minutes=1)

    def _watch(
        self, happens: Callable[[], list[LeadRecord]], event: LeadRecord | None = None
    ) -> None:
        """Whatever follows: nothing of what has ended, everything at this moment."""
        live = [] if self.story.row is None else list(self.story.row.live)
        now = self.words.at(self.minute)
        for each in happens():
            enrollment_id = getattr(each, "enrollment_id", None)
            assert each.recorded_at == now
            if isinstance(each, MessageQueued) and enrollment_id in self.stopped:
                self.late.append(f"{each.step_id} after {self.stopped[enrollment_id]}")
        rule = "" if event is None else _rule(event)
        for enrollment in live:
            stop_on = self.definitions[enrollment.sequence_id].stop_on
            if rule and (rule in ALWAYS.values() or rule in stop_on):
                self.stopped.setdefault(enrollment.enrollment_id, rule)


def _rule(event: Any) -> str:
    """By which rule an event stops what it finds."""
    if event.TYPE == "ConsentChanged":
        return "" if event.granted else "opt_out"
    if event.TYPE == "StageChanged":
        return WHEN_ASKED.get(event.to_stage, "")
    if event.TYPE == "ReplyReceived" and event.automatic:
        return ""
    return ALWAYS.get(event.TYPE) or WHEN_ASKED.get(event.TYPE, "")


def again(life: Life, events: Iterable[LeadRecord]) -> None:
    """Decide on events that were decided on before: nothing may come of it."""
    now = life.words.at(life.minute)
    for event in events:
        decision = decide(life.story.row, event, now, life.story.setting)
        assert decision.effects == ()
        assert not decision.changed


def messages(life: Life) -> list[MessageQueued]:
    return [each for each in life.told if isinstance(each, MessageQueued)]


def of_steps(life: Life) -> list[MessageQueued]:
    """Without the tasks that tell the owner that a first message waits."""
    return [each for each in messages(life) if ":" not in (each.step_id or "")]


def may_go(life: Life, message: MessageQueued) -> bool:
    """Whether the wall clock where the lead is allows it at the time that it went out."""
    if message.channel == "task":
        return True
    local = message.recorded_at.astimezone(ZoneInfo(life.plan.zone))
    quiet = QUIET.get(message.channel)
    if quiet is not None and not _between(local.time(), *quiet):
        return False
    window = life.definitions[message.sequence_id].window
    if window is None:
        return True
    closed = "" if window.holidays else life.plan.tenant["holidays"]
    today = _on(local.date(), window.days, closed)
    before = _on(local.date() - timedelta(days=1), window.days, closed)
    if window.start < window.end:
        return today and _between(local.time(), window.start, window.end)
    late, early = (
        _between(local.time(), window.start, "24:00"),
        _between(local.time(), "00:00", window.end),
    )
    return (late and today) or (early and before)


def _between(now: time, start: str, end: str) -> bool:
    return time.fromisoformat(start) <= now and (end == "24:00" or now < time.fromisoformat(end))


def _on(day: date, days: tuple[str, ...], closed: str) -> bool:
    return (not days or WEEK[day.weekday()] in days) and not is_holiday(day, closed)


@cache
def _calendar(code: str) -> Any:
    country, _, region = code.partition("-")
    return country_holidays(country, region or None)


def is_holiday(day: date, code: str) -> bool:
    return bool(code) and day in _calendar(code)


def is_early(life: Life, message: MessageQueued, base: datetime) -> bool:
    """Whether less than the step's delay has passed since `base`."""
    found = next(
        each
        for each in life.definitions[message.sequence_id].steps
        if each.step_id == message.step_id
    )
    zone = ZoneInfo(life.plan.zone)
    if message.recorded_at < base + timedelta(minutes=found.delay_minutes):
        return True
    first = (base + timedelta(minutes=found.delay_minutes)).astimezone(zone).date()
    day, last = first + timedelta(days=found.delay_days), message.recorded_at.astimezone(zone)
    worked = 0
    while worked < found.delay_business_days:
        day += timedelta(days=1)
        worked += day.weekday() < 5 and not is_holiday(day, life.plan.tenant["holidays"])
    return last.date() < day


def without_rivals(plan: Plan) -> Plan:
    """No sequence pushes another one out."""
    return replace(
        plan, sequences=tuple({**each, "exclusive_group": ""} for each in plan.sequences)
    )


def commuting(life: Life, drawn: Iterable[tuple[str, int]]) -> list[LeadRecord]:
    """Events that say about themselves which of them is newer; of a kind that does not, one."""
    life.minute += 60
    life.story.passes(life.minute)
    made: dict[tuple[str, int], LeadRecord] = {}
    for what, number in drawn:
        place, at = number, life.minute + number / 10
        fields: dict[str, Any] = {"recorded_at": life.words.at(life.minute)}
        match what:
            case "LeadUpdated" | "StageChanged":
                # One revision is one change of the lead, whichever event tells of it.
                what, place = "revision", number
                fields |= {"revision": number + 2}
                if number % 2:
                    event = life.story.event(
                        "StageChanged", at, to_stage=("contacted", "qualified")[number % 4 // 2],
                        **fields,
                    )  # fmt: skip
                else:
                    fields |= {"first_name": f"name-{number}", "timezone": life.plan.zone}
                    stage = ("new", "contacted")[number % 4 // 2]
                    # A form that says yes, at any time, takes no refusal back.
                    yes = life.words.at(life.minute + 0.35)
                    grant = ConsentGrant(channel="sms", granted=True, basis="form", at=yes)
                    fields |= {"consent": (grant,)}
                    event = life.story.event("LeadUpdated", at, stage=stage, **fields)
            case "opt_out" | "opt_in":
                fields |= {"channel": ("email", "sms", "all")[number % 3]}
                granted = what == "opt_in"
                # At one moment a refusal wins; between moments the newer word does.
                fields |= {"basis": "opt-in" if granted else "opt-out"}
                event = life.story.event("ConsentChanged", at, granted=granted, **fields)
            case _:
                place = 0
                event = life.story.event(what, at, **fields)
        made.setdefault((what, place), event)
    return list(made.values())


def known(life: Life) -> dict[str, Any]:
    """What the row says of the lead, in an order of its own."""
    row = life.row
    return {
        "profile": row.profile,
        "stage": (row.stage, row.stage_revision),
        "temperature": row.temperature,
        "consent": sorted((each.channel, each.granted, each.at) for each in row.consent),
        "live": sorted((e.enrollment_id, e.step_index, e.due_at, e.waits_for) for e in row.live),
        "finished": sorted((each.sequence_id, each.entries, each.outcome) for each in row.finished),
        "sent": row.sent,
        "applied": sorted(row.applied[at : at + 8] for at in range(0, len(row.applied), 8)),
    }

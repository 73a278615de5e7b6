"""What the topics and the rows say after the run, held against the model."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from hashlib import blake2b
from typing import Any

from tests.endurance import model, stories
from tests.endurance.driver import Driver
from tests.endurance.model import Told
from tests.endurance.reading import Commits, read_all
from tests.endurance.stories import Lead

from leadflow import topics
from leadflow.codec import Codec
from leadflow.records import LeadRecord, MessageQueued
from sequencer import rowcodec

MAY_DIFFER = frozenset({"occurred_at", "recorded_at", "due_at"})
"""Between copies of one message: when it was decided, and with that, where the step before it
went out late, when it was due."""


@dataclass(slots=True)
class Queued:
    """One message id in `messages`: how often, and as it was first decided."""

    record: MessageQueued
    copies: int = 1


@dataclass(slots=True)
class Findings:
    """`wrong` are the leads of which something is not as it has to be, by what it is."""

    wrong: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    counts: Counter[str] = field(
        default_factory=lambda: Counter({"messages": 0, "message repeats": 0})
    )

    def say(self, what: str, lead_id: str) -> None:
        self.wrong[what].append(lead_id)


class Checker:
    """Reads everything once; `findings` is the result."""

    def __init__(
        self, bootstrap: str, group: str, leads: Sequence[Lead], driver: Driver, commits: Commits
    ) -> None:
        self.findings = Findings()
        self._bootstrap = bootstrap
        self._changelog = f"{group}-leads-changelog"
        self._leads = {lead.lead_id: lead for lead in leads}
        self._driver = driver
        self._commits = commits
        self._codec = Codec()

    def run(self) -> Findings:
        queued, told, rows = self._messages(), self._told(), self._rows()
        self._dead_letters()
        for lead in self._leads.values():
            if lead.lead_id not in self._driver.published:
                self.findings.say("the lead was not published in time", lead.lead_id)
                continue
            there = self._check_messages(lead, queued.get(lead.lead_id, {}))
            said = told.get(lead.enrollment_id, Told())
            self._check_told(lead, there, said)
            self._check_row(lead, there, said, rows.get(lead.lead_id))
        return self.findings

    def _messages(self) -> Mapping[str, dict[str, Queued]]:
        """Each lead's queued messages by message id."""
        found: dict[str, dict[str, Queued]] = defaultdict(dict)
        for message in read_all(self._bootstrap, topics.MESSAGES.name):
            record = self._codec.decode(message.value())
            if not isinstance(record, MessageQueued) or record.tenant_id != stories.TENANT:
                continue
            of_lead = found[record.lead_id]
            before = of_lead.get(record.message_id)
            if record.lead_id not in self._leads:
                self.findings.say("a message to a lead that nobody made", record.lead_id)
            if before is None:
                of_lead[record.message_id] = Queued(record)
                self.findings.counts["messages"] += 1
            else:
                before.copies += 1
                self.findings.counts["message repeats"] += 1
                if not _same(before.record, record):
                    self.findings.say("two messages of one id differ", record.lead_id)
        return found

    def _told(self) -> Mapping[str, Told]:
        found: dict[str, Told] = defaultdict(Told)
        for message in read_all(self._bootstrap, topics.ENROLLMENT_EVENTS.name):
            record: Any = self._codec.decode(message.value())
            if record.tenant_id == stories.TENANT:
                self.findings.counts["enrollment events"] += 1
                enrollment_id = getattr(record, "enrollment_id", "")
                if not enrollment_id:
                    self.findings.say(f"an unexpected {record.TYPE}", record.lead_id)
                found[enrollment_id].hear(record)
        return found

    def _rows(self) -> Mapping[str, bytes]:
        """The last row of each lead, as an empty worker would recover it."""
        rows: dict[str, bytes] = {}
        for message in read_all(self._bootstrap, self._changelog):
            self.findings.counts["rows written"] += 1
            rows[message.key().decode()] = message.value()
        return rows

    def _dead_letters(self) -> None:
        for message in read_all(self._bootstrap, topics.SEQUENCER_DLQ.name):
            self.findings.say("a dead letter", (message.key() or b"").decode())

    def _check_messages(self, lead: Lead, queued: Mapping[str, Queued]) -> set[int]:
        """Which steps' messages are there; says which should or should not be."""
        enrolled_at = self._driver.published[lead.lead_id]
        indices = {lead.message_id(index): index for index in range(len(lead.sequence.steps))}
        there = {indices[each] for each in queued if each in indices}
        counts = self.findings.counts
        if len(there) < len(queued):
            self.findings.say("a message id that no rule yields", lead.lead_id)
        if missing := set(model.must(lead)) - there:
            self.findings.say("a message is missing", lead.lead_id)
            counts["messages missing"] += len(missing)
        forbidden = model.must_not(lead, enrolled_at, lambda what: self._known_at(lead, what))
        if there & forbidden:
            self.findings.say("a message after a stop that was known", lead.lead_id)
        due = set(model.due_in_the_run(lead))
        if there - due:
            self.findings.say("a message long before its time", lead.lead_id)
        if there != set(range(len(there))):
            self.findings.say("steps not in their order", lead.lead_id)
        counts["messages that had to be there"] += len(model.must(lead))
        counts["messages that must not be there"] += len(forbidden & due)
        counts["messages that may be there or not"] += len(due - set(model.must(lead)) - forbidden)
        after = None
        for index in sorted(there):
            record = queued[lead.message_id(index)].record
            if record.due_at != stories.due(lead, index, enrolled_at):
                # Never before the step that it follows: that one went out late.
                counts["messages due later, after a late one"] += 1
                if record.due_at < stories.due(lead, index, enrolled_at) or after is None:
                    self.findings.say("a message due at another time", lead.lead_id)
            after = record
            if record.recorded_at < record.due_at:
                self.findings.say("a message before it was due", lead.lead_id)
            if not _as_planned(lead, index, enrolled_at, record):
                self.findings.say("a message that says something else", lead.lead_id)
        return there

    def _known_at(self, lead: Lead, what: str) -> float:
        """When (epoch seconds) this was durable in the lead's row at the latest."""
        where = self._driver.places.get((lead.lead_id, what))
        return float("inf") if where is None else self._commits.by_when(*where)

    def _check_told(self, lead: Lead, there: set[int], said: Told) -> None:
        counts = self.findings.counts
        counts["enrollment event repeats"] += said.repeats
        counts["steps told after a stop"] += said.after_the_end
        counts["enrollments told to end in two ways"] += len(said.outcomes) > 1
        if not said.enrolled:
            self.findings.say("never enrolled", lead.lead_id)
        # A kill may let a decision's messages through and not its story. It is made again, if
        # nothing has stopped or paused the enrollment by then.
        untold = there - said.fired
        counts["messages whose decision a kill cut off"] += len(untold)
        if said.fired - there or (untold and not (said.outcome or said.paused_by)):
            self.findings.say("steps told are not the messages queued", lead.lead_id)
        if said.outcome not in model.outcomes(lead, there):
            self.findings.say(f"ended as {said.outcome or 'not at all'!r}", lead.lead_id)

    def _check_row(self, lead: Lead, there: set[int], said: Told, data: bytes | None) -> None:
        if data is None:
            self.findings.say("no row", lead.lead_id)
            return
        row = rowcodec.decode(lead.lead_id.encode(), data)
        wrong = self.findings.say
        if not row.created or row.profile.email != lead.email or row.stage != "new":
            wrong("a row that does not know its lead", lead.lead_id)
        marks = {blake2b(each.encode(), digest_size=8).digest() for each in model.applied(lead)}
        known = [row.applied[at : at + 8] for at in range(0, len(row.applied), 8)]
        if len(known) != len(marks) or set(known) != marks:
            wrong("a row that has not applied its events once each", lead.lead_id)
        refused = any(what == "opt_out" for _after, what in lead.story.happens)
        if refused != any(not each.granted for each in row.consent):
            wrong("a row with the wrong consent", lead.lead_id)
        sequence_id = lead.sequence.sequence_id
        # That an address bounced outlives the enrollment: it is a line of no sequence.
        bounced = any(what == "bounce" for _after, what in lead.story.happens)
        unanswered = [f.outcome for f in row.finished if not f.sequence_id]
        if unanswered != ["bounce"] * bounced:
            wrong("a row that does not know of its bounce", lead.lead_id)
        finished = [f for f in row.finished if f.sequence_id]
        if said.outcome:
            ended = [(f.sequence_id, f.entries, f.outcome, f.ended_at) for f in finished]
            if row.live or ended != [(sequence_id, 1, said.outcome, said.ended_at)]:
                wrong("a row that has not ended as was told", lead.lead_id)
            return
        if len(row.live) != 1 or finished:
            wrong("a row without the live enrollment that was told", lead.lead_id)
            return
        live = row.live[0]
        enrolled_at = self._driver.published[lead.lead_id]
        index = live.step_index
        # A pause may come between a decision that was cut off by a kill and its repetition.
        cut_off = bool(live.paused_by) and index < said.step_index
        self.findings.counts["paused before a step was told again"] += cut_off
        wanted = (lead.enrollment_id, sequence_id, 1, 1, enrolled_at, said.paused_by, "", "")
        if (
            live.enrollment_id,
            live.sequence_id,
            live.version,
            live.entry,
            live.enrolled_at,
            live.paused_by,
            live.held_by,
            live.waits_for,
        ) != wanted:
            wrong("a live enrollment that is not what was told", lead.lead_id)
        if index != said.step_index and not cut_off:
            wrong("a live enrollment at another step than was told", lead.lead_id)
        elif live.due_at != stories.due(lead, index, enrolled_at) or (
            not cut_off and live.due_at != said.due_at
        ):
            wrong("a live enrollment due at another time", lead.lead_id)
        if index > len(there) or (index < len(there) and not live.paused_by):
            wrong("a live enrollment whose step is not behind its messages", lead.lead_id)


def _same(first: LeadRecord, second: LeadRecord) -> bool:
    return all(
        getattr(first, each.name) == getattr(second, each.name)
        for each in fields(first)
        if each.name not in MAY_DIFFER
    )


def _as_planned(lead: Lead, index: int, enrolled_at: datetime, record: MessageQueued) -> bool:
    return (
        record.enrollment_id == lead.enrollment_id
        and record.sequence_id == lead.sequence.sequence_id
        and record.step_id == lead.sequence.steps[index][0]
        and record.channel == "email"
        and record.recipient == lead.email
        and record.variables == {"first_name": "Robin", "email": lead.email}
        and record.enrolled_at == enrolled_at
    )

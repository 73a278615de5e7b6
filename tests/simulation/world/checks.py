"""What must hold when all is over, whatever happened meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dispatcher.facts import Stop, Suppression
from dispatcher.halts import Halted
from dispatcher.model import Arrival, State
from leadflow import ids
from leadflow.kafka.port import TopicPartition
from leadflow.records import EnrollmentStopped, LeadRecord, SequencePublished

from . import hours
from .disk import CHANGELOG
from .dispatcher import ENROLLMENT_EVENTS, FakeProvider, Taken
from .durable import PARTITIONS, Durable
from .ledger import Tables
from .model import LeadModel
from .passage import Passage, owner_task
from .sequences import REACTIVATE, Features, key_of
from .story import CODEC, COMMANDS, LEAD_EVENTS, MESSAGE_EVENTS
from .watch import Queued, Watch

SETTLED = (State.SENT, State.RECORDED, State.UNKNOWN, State.SUPPRESSED)
STOPS = {"ReplyReceived": "reply", "BookingMade": "booking", "AccountReplied": "account_reply"}


@dataclass(frozen=True)
class Outcome:
    """What is left of a run. `definitions` are all versions of all sequences by ID:VERSION."""

    features: Features
    definitions: Mapping[str, SequencePublished]
    durable: Durable
    watch: Watch
    tables: Tables
    provider: FakeProvider

    def rows(self) -> dict[bytes, bytes]:
        """The last row of each lead in the changelog."""
        found = {
            record.key or b"": record.value
            for number in range(PARTITIONS)
            for record in self.durable.logs.get(TopicPartition(CHANGELOG, number), ())
        }
        return {key: row for key, row in found.items() if row is not None}

    def told(self) -> dict[str, LeadRecord]:
        """Every record that the sequencer and the dispatcher were to hear of, once."""
        found = {}
        for place, log in self.durable.logs.items():
            if place.topic in (LEAD_EVENTS, COMMANDS, MESSAGE_EVENTS):
                for message in log:
                    record = CODEC.decode(message.value)
                    if isinstance(record, LeadRecord):
                        found[record.event_id] = record
        return found


def check(outcome: Outcome) -> list[str]:
    """Everything that is wrong, in words."""
    told = outcome.told()
    leads = {record.lead_id for record in told.values()}
    cap = outcome.features.cap
    models = {lead: LeadModel(lead, outcome.definitions, cap) for lead in sorted(leads)}
    for key, _, decided, count, gone in outcome.watch.applied:
        model = models[key.decode()]
        model.apply(decided.record, decided.at, decided.paused, decided.published, count)
        if decided.woken is not None:
            model.wake(decided.woken, decided.at, decided.published, count)
        elif decided.record is None and outcome.features.silence and not gone:
            model.looked_at(decided.at)
        if gone:
            model.forget(decided.at)
    durable = {id(each.decided) for each in outcome.watch.applied}
    wrong = [
        f"a dead letter in {place.topic}"
        for place, log in outcome.durable.logs.items()
        if place.topic.endswith("-dlq") and place.topic != "intake-dlq" and log
    ]
    for model in models.values():
        queued = [q for q in outcome.watch.queued if q.record.lead_id == model.lead]
        again = [q for q in outcome.watch.again if q.record.lead_id == model.lead]
        wrong += _queued(model, queued, durable, outcome.features)
        wrong += _meant(model, queued, durable)
        wrong += model.wrong
        if outcome.features.silence:
            wrong += _forgotten(model, outcome)
        wrong += _allowed(model, [*queued, *again], outcome)
    wrong += outcome.watch.too_soon
    wrong += _once(outcome)
    wrong += _accepted(outcome)
    wrong += _capped(outcome)
    wrong += _sent(outcome, list(told.values()))
    return [*outcome.durable.errors, *wrong]


def _forgotten(model: LeadModel, outcome: Outcome) -> Iterator[str]:
    """When nobody has said anything for long, there is nothing left to wait for."""
    if not model.is_kept() and model.lead.encode() in outcome.rows():
        yield f"NOT FORGOTTEN: lead {model.lead[:8]}"


def _meant(model: LeadModel, queued: Sequence[Queued], durable: set[int]) -> Iterator[str]:
    """Whatever was queued by a decision that is in a row had to be; `durable` are those."""
    meant = {message_id for passage in model.passages for message_id in passage.must}
    meant |= set(model.resent)
    for each in queued:
        if id(each.decided) in durable and each.record.message_id not in meant:
            yield f"UNMEANT: {each.record.step_id} of lead {model.lead[:8]}"


def _queued(
    model: LeadModel, queued: Sequence[Queued], durable: set[int], features: Features
) -> Iterator[str]:
    """`messages` holds what the model says, nothing early and nothing after a stop."""
    # What a decision sent that was lost with its worker may have no place in the next version,
    # or not meet its condition any more.
    moving, asking = features.versions, features.conditions
    first: dict[str, Queued] = {}
    for each in queued:
        first.setdefault(each.record.message_id, each)
    possible = {*model.resent, *model.refused, *_for_silence(model)}
    for message_id in model.resent:
        if message_id not in first:
            yield f"LOST: {message_id}, to be sent again to lead {model.lead[:8]}"
    for passage in model.passages:
        if passage.ended == "":
            yield f"STUCK: {_name(passage)} never came to its end"
        for message_id in passage.must:
            if message_id not in first:
                yield f"LOST: {message_id} of {_name(passage)}"
        earliest = _earliest(passage, first)
        version = key_of(passage.sequence)
        for index, step in enumerate(passage.sequence.steps):
            message_id = passage.message_id(step.step_id)
            possible |= {message_id, passage.message_id(owner_task(step))}
            for each in queued:
                if each.record.message_id != message_id:
                    continue
                held = any(
                    each.decided.serial >= count and index >= start and each.decided.at < until
                    for count, start, until in passage.holds
                )
                # A decision that was lost with its worker may have gone by another version, or
                # found the step before it to be left out.
                mine = version in each.decided.published and not passage.moved
                mine = mine and (not asking or id(each.decided) in durable)
                if mine and (held or each.decided.at < earliest[index]):
                    yield f"EARLY: {step.step_id} of {_name(passage)}"
                if passage.ended_at and each.decided.serial >= passage.ended_at:
                    yield f"AFTER ITS END ({passage.ended}): {step.step_id} of {_name(passage)}"
                if message_id in passage.must or passage.ended != "completed" or moving or asking:
                    continue
                # Skipped in the end: it went out from a decision that was lost with its worker.
                if model.refused_at is None or each.decided.serial >= model.refused_at:
                    yield f"UNEXPECTED: {step.step_id} of {_name(passage)}"
        order = [first[each].serial for each in passage.must if each in first]
        if not (moving or asking) and order != sorted(order):
            yield f"OUT OF ORDER: {_name(passage)}"
    for message_id in first.keys() - possible:
        if not moving:
            yield f"NOBODY'S: {message_id} of lead {model.lead[:8]}"


def _for_silence(model: LeadModel) -> Iterator[str]:
    """Messages of an enrollment that was lost with its worker: if the lead speaks before it is
    made again, it is not."""
    for entry in range(1, 2 + len(model.passages)):
        enrollment_id = ids.enrollment_id(model.lead, REACTIVATE, entry)
        for definition in model.versions(REACTIVATE):
            for step in definition.steps:
                yield ids.message_id(enrollment_id, step.step_id)
                yield ids.message_id(enrollment_id, owner_task(step))


def _earliest(passage: Passage, first: Mapping[str, Queued]) -> list[datetime]:
    """Before when each step cannot have been due: the delays count from the enrollment, or from
    when the step before was first queued."""
    bounds: list[datetime] = []
    done = passage.enrolled_at
    for step in passage.sequence.steps:
        base = done if step.delay_from == "previous" else passage.enrolled_at
        bound = max(done, base + timedelta(minutes=step.delay_minutes))
        bounds.append(bound)
        queued = first.get(passage.message_id(step.step_id))
        done = bound if queued is None else max(bound, queued.decided.at)
    return bounds


def _allowed(model: LeadModel, queued: Sequence[Queued], outcome: Outcome) -> Iterator[str]:
    """Inside its hours, below the cap, and every step in the lead's own arm."""
    arms: dict[str, set[str]] = {}
    last: dict[str, datetime] = {}
    for each in queued:
        message, at = each.record, each.decided.at
        if message.channel == "email":
            last[message.message_id] = max(at, last.get(message.message_id, at))
        sequence = outcome.definitions[f"{message.sequence_id}:1"]
        if not hours.is_open(hours.windows(sequence, message.channel), model.zone, at):
            yield f"AT THE WRONG HOUR: {message.step_id} of lead {model.lead[:8]}"
        if message.body.startswith("arm"):
            arms.setdefault(sequence.sequence_id, set()).add(message.body)
    for sequence_id, seen in arms.items():
        if len(seen) > 1:
            yield f"ARMS: lead {model.lead[:8]} has {sorted(seen)} in {sequence_id}"
    must = {message_id for passage in model.passages for message_id in passage.must}
    must |= set(model.resent)
    times = sorted(at for message_id, at in last.items() if message_id in must)
    cap = outcome.features.cap
    for place, at in enumerate(times) if cap else ():
        if sum(at <= other < at + timedelta(days=1) for other in times[place:]) > cap:
            yield f"MORE THAN THE CAP: lead {model.lead[:8]} from {at}"


def _once(outcome: Outcome) -> Iterator[str]:
    """A worker looks first at what its predecessors have put there."""
    times = Counter(each.record.message_id for each in outcome.watch.queued)
    yield from (f"QUEUED TWICE: {message_id}" for message_id, count in times.items() if count > 1)


def _accepted(outcome: Outcome) -> Iterator[str]:
    """Once each, and not if its stop was known when it was claimed."""
    times = Counter(taken.message_id for taken in outcome.provider.accepted)
    yield from (f"TWICE: {message_id}" for message_id, count in times.items() if count > 1)
    for taken in outcome.provider.accepted:
        arrival = outcome.tables.lines[taken.message_id].arrival
        yield from _halted(outcome.tables, taken, arrival)
        for count, fact in outcome.tables.heard:
            if count >= taken.claimed_at:
                break
            if isinstance(fact, Suppression) and fact.address == arrival.recipient.lower():
                yield f"SENT to an address that was taken off: {taken.message_id}"
            if (
                isinstance(fact, Stop)
                and fact.lead_id == arrival.lead_id
                and arrival.enrolled_at is not None
                and fact.at >= arrival.enrolled_at
                and (fact.stop == "opt_out" or fact.stop in arrival.stop_on)
            ):
                yield f"SENT although {fact.stop} was known: {taken.message_id}"


def _capped(outcome: Outcome) -> Iterator[str]:
    """Whenever something was accepted the lead had had less than its cap within a day, whatever
    had kept it waiting; what a person had sent again was asked when the person asked. A call that
    nobody waited for any more may arrive later: it counts from when it was given up."""
    cap, accepted = outcome.features.cap, outcome.provider.accepted
    for taken in accepted if cap else ():
        if outcome.tables.lines[taken.message_id].arrival.first_message_id is not None:
            continue
        within = {
            each.message_id
            for each in accepted
            if each.lead_id == taken.lead_id
            and taken.at - timedelta(days=1) < _counts_from(outcome.tables, each)
            and each.count <= taken.count
        }
        if len(within) > cap:
            yield f"SENT OVER THE CAP: {taken.message_id} of lead {taken.lead_id[:8]}"


def _counts_from(tables: Tables, taken: Taken) -> datetime:
    line = tables.lines[taken.message_id]
    return min(taken.at, line.changed_at) if line.state is State.UNKNOWN else taken.at


def _halted(tables: Tables, taken: Taken, arrival: Arrival) -> Iterator[str]:
    """A stop is for good but for what a person had sent again since; of a pause the last word
    counts that was known when it was claimed."""
    stopped = paused = ""
    at = (-1, -1)
    for count, said in tables.halts_heard:
        if count >= taken.claimed_at or said.enrollment_id != arrival.enrollment_id:
            continue
        if said.stopped_by is not None and not _asked_for_since(said, arrival):
            stopped = said.stopped_by
        if said.word is not None and (said.word.partition, said.word.offset) >= at:
            at, paused = (said.word.partition, said.word.offset), said.word.paused_by or ""
    if stopped or paused:
        yield f"SENT although its enrollment was {stopped or paused}: {taken.message_id}"


def _asked_for_since(said: Halted, arrival: Arrival) -> bool:
    """What is sent again of an enrollment that is over counts as enrolled when that ended."""
    again, at, since = arrival.first_message_id is not None, said.stopped_at, arrival.enrolled_at
    return again and at is not None and since is not None and at < since


def _stopped(durable: Durable) -> set[str]:
    """The enrollments that did not end by themselves."""
    return {
        record.enrollment_id
        for place, log in durable.logs.items()
        if place.topic == ENROLLMENT_EVENTS
        for record in (CODEC.decode(message.value) for message in log)
        if isinstance(record, EnrollmentStopped) and record.rule not in ("stop_step", "condition")
    }


def _sent(outcome: Outcome, told: Sequence[LeadRecord]) -> Iterator[str]:
    """Everything that was queued has come to its end, and has been sent if nothing forbade it."""
    accepted = {taken.message_id for taken in outcome.provider.accepted}
    stopped = _stopped(outcome.durable)
    for record in {each.record.message_id: each.record for each in outcome.watch.queued}.values():
        line = outcome.tables.lines.get(record.message_id)
        if line is None or line.state not in SETTLED:
            yield f"NOT SETTLED: {record.message_id} is {line and line.state.value}"
            continue
        if line.state is State.SENT and record.message_id not in accepted:
            yield f"NOT SENT: {record.message_id} only says so"
        if line.state is State.UNKNOWN or record.message_id in accepted:
            continue
        if line.state is State.SUPPRESSED and not (
            _forbidden(line.arrival, told) or line.arrival.enrollment_id in stopped
        ):
            yield f"NOT SENT: {record.message_id} for no reason"


def _forbidden(arrival: Arrival, told: Sequence[LeadRecord]) -> bool:
    for record in told:
        if record.lead_id != arrival.lead_id:
            continue
        if record.TYPE in ("ConsentChanged", "MessageComplained") or _refuses(record):
            return True  # no e-mail goes to the address any more, of whatever passage
        if getattr(record, "bounce_type", "") == "hard":
            return True
        rule = STOPS.get(record.TYPE) or getattr(record, "to_stage", "")
        since = arrival.enrolled_at
        if rule in arrival.stop_on and since is not None and record.recorded_at >= since:
            return True
    return False


def _refuses(record: LeadRecord) -> bool:
    """A profile that comes with a refusal of e-mail, from before there was the lead."""
    return any(
        grant.channel == "email" and not grant.granted for grant in getattr(record, "consent", ())
    )


def _name(passage: Passage) -> str:
    sequence_id = passage.sequence.sequence_id
    return f"entry {passage.entry} of {sequence_id} of lead {passage.lead[:8]}"

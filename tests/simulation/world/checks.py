"""What must hold when all is over, whatever happened meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dispatcher.facts import Stop, Suppression
from dispatcher.model import State
from leadflow.kafka.port import TopicPartition
from leadflow.records import LeadRecord, SequencePublished

from .dispatcher import FakeProvider, Tables
from .durable import PARTITIONS, Durable
from .model import LeadModel, Passage
from .sequencer import CHANGELOG, Queued, Watch

SETTLED = (State.SENT, State.RECORDED, State.UNKNOWN, State.SUPPRESSED)
FINAL_STOPS = ("ConsentChanged", "MessageBounced")
"""After these no e-mail goes to the address any more, of whatever passage."""


@dataclass(frozen=True)
class Outcome:
    """What is left of a run."""

    definitions: Mapping[str, SequencePublished]
    leads: Sequence[str]
    told: Sequence[LeadRecord]
    durable: Durable
    watch: Watch
    tables: Tables
    provider: FakeProvider

    def rows(self) -> dict[bytes, bytes]:
        """The last row of each lead in the changelog."""
        return {
            record.key or b"": record.value or b""
            for number in range(PARTITIONS)
            for record in self.durable.logs.get(TopicPartition(CHANGELOG, number), ())
        }


def check(outcome: Outcome) -> list[str]:
    """Everything that is wrong, in words."""
    models = {lead: LeadModel(lead, outcome.definitions) for lead in outcome.leads}
    for key, _, decided, count in outcome.watch.applied:
        models[key.decode()].apply(decided.record, decided.at, decided.paused, count)
    wrong = [
        f"a dead letter in {place.topic}"
        for place, log in outcome.durable.logs.items()
        if place.topic.endswith("-dlq") and log
    ]
    for model in models.values():
        wrong += _queued(model, [q for q in outcome.watch.queued if q.record.lead_id == model.lead])
    wrong += _accepted(outcome)
    wrong += _sent(outcome)
    return wrong


def _queued(model: LeadModel, queued: Sequence[Queued]) -> Iterator[str]:
    """`messages` holds what the model says, nothing early and nothing after a stop."""
    first: dict[str, Queued] = {}
    for each in queued:
        first.setdefault(each.record.message_id, each)
    possible: set[str] = set()
    for passage in model.passages:
        if passage.ended == "":
            yield f"STUCK: {_name(passage)} never came to its end"
        for message_id in passage.must:
            if message_id not in first:
                yield f"LOST: {message_id} of {_name(passage)}"
        earliest = _earliest(passage, first)
        for index, step in enumerate(passage.sequence.steps):
            message_id = passage.message_id(index)
            possible.add(message_id)
            for each in queued:
                if each.record.message_id != message_id:
                    continue
                held = any(
                    each.decided.serial >= count and index >= start and each.decided.at < until
                    for count, start, until in passage.holds
                )
                if held or each.decided.at < earliest[index]:
                    yield f"EARLY: {step.step_id} of {_name(passage)}"
                if passage.ended_at and each.decided.serial >= passage.ended_at:
                    yield f"AFTER ITS END ({passage.ended}): {step.step_id} of {_name(passage)}"
                if message_id in passage.must or passage.ended != "completed":
                    continue
                # Skipped in the end: it went out from a decision that was lost with its worker.
                if model.refused_at is None or each.decided.serial >= model.refused_at:
                    yield f"UNEXPECTED: {step.step_id} of {_name(passage)}"
    for message_id in first.keys() - possible:
        yield f"NOBODY'S: {message_id} of lead {model.lead[:8]}"


def _earliest(passage: Passage, first: Mapping[str, Queued]) -> list[datetime]:
    """Before when each step cannot have been due: the delays count from the enrollment, or from
    when the step before was first queued."""
    bounds: list[datetime] = []
    done = passage.enrolled_at
    for index, step in enumerate(passage.sequence.steps):
        base = done if step.delay_from == "previous" else passage.enrolled_at
        bound = max(done, base + timedelta(minutes=step.delay_minutes))
        bounds.append(bound)
        queued = first.get(passage.message_id(index))
        done = bound if queued is None else max(bound, queued.decided.at)
    return bounds


def _accepted(outcome: Outcome) -> Iterator[str]:
    """Once each, and not if its stop was known when it was claimed."""
    times = Counter(taken.message_id for taken in outcome.provider.accepted)
    yield from (f"TWICE: {message_id}" for message_id, count in times.items() if count > 1)
    for taken in outcome.provider.accepted:
        arrival = outcome.tables.lines[taken.message_id].arrival
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


def _sent(outcome: Outcome) -> Iterator[str]:
    """Everything that was queued has come to its end, and has been sent if nothing forbade it."""
    accepted = {taken.message_id for taken in outcome.provider.accepted}
    for record in {each.record.message_id: each.record for each in outcome.watch.queued}.values():
        line = outcome.tables.lines.get(record.message_id)
        if line is None or line.state not in SETTLED:
            yield f"NOT SETTLED: {record.message_id} is {line and line.state.value}"
            continue
        if line.state is State.SENT and record.message_id not in accepted:
            yield f"NOT SENT: {record.message_id} only says so"
        if line.state is State.UNKNOWN or record.message_id in accepted:
            continue
        if line.state is State.SUPPRESSED and not _forbidden(outcome, line.arrival):
            yield f"NOT SENT: {record.message_id} for no reason"


def _forbidden(outcome: Outcome, arrival: object) -> bool:
    lead_id = getattr(arrival, "lead_id", "")
    enrolled_at = getattr(arrival, "enrolled_at", None)
    stop_on: tuple[str, ...] = getattr(arrival, "stop_on", ())
    for record in outcome.told:
        if record.lead_id != lead_id:
            continue
        if record.TYPE in FINAL_STOPS:
            return True
        rule = {"ReplyReceived": "reply", "BookingMade": "booking"}.get(record.TYPE)
        if rule in stop_on and enrolled_at is not None and record.recorded_at >= enrolled_at:
            return True
    return False


def _name(passage: Passage) -> str:
    sequence_id = passage.sequence.sequence_id
    return f"entry {passage.entry} of {sequence_id} of lead {passage.lead[:8]}"

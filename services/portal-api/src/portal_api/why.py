"""Why a step of a sequence went out to a lead, or did not, or has not yet. Pure.

The answer is read off the lead's timeline alone: every decision is an event there, with its rule
and what the rule looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from portal_api.passages import AGAIN, Passage, Step, read
from portal_api.reasons import Say, because

Line = Mapping[str, Any]  # a row of the timeline: type, data, recorded_at
Definitions = Mapping[tuple[str, int], tuple[tuple[str, str], ...]]
"""(step_id, channel) of the steps, by sequence and version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one step in one passage through a sequence, in one sentence or two.

    `state` is sent, recorded (for a person), queued, held, suppressed, failed, unknown, rejected,
    skipped, stopped, paused, not_due, due, later or passed_over; refused for a sequence that
    the lead did not enter, without a step. `number` counts the steps from 1, 0 without a step.
    `at` is when it was decided, or is due. `rule` and `inputs` are those that decided.
    """

    sequence_id: str
    version: int | None
    enrollment_id: str | None
    entered_at: datetime | None
    step_id: str | None
    number: int
    channel: str | None
    state: str
    at: datetime | None
    rule: str
    inputs: Mapping[str, str]
    text: str


def answers(
    lines: Iterable[Line], definitions: Definitions, now: datetime, say: Say
) -> list[Answer]:
    """An answer for each step of each passage, and for each refusal to let the lead in.

    `lines` may come in any order. Without the definition of a version, the steps are
    those that the timeline names.
    """
    story = read(lines)
    found: list[Answer] = []
    for passage in story.passages:
        found += _of_passage(passage, definitions, now, say)
    for refusal in story.refusals:
        words = because(refusal.rule, refusal.inputs, say)
        found.append(
            Answer(
                sequence_id=refusal.sequence_id,
                version=None,
                enrollment_id=None,
                entered_at=None,
                step_id=None,
                number=0,
                channel=None,
                state="refused",
                at=refusal.at,
                rule=refusal.rule,
                inputs=refusal.inputs,
                text=f"The lead did not enter at {say(refusal.at)}: {words}.",
            )
        )
    return found


def chosen(found: Iterable[Answer], sequence: str | None, step: str | None) -> list[Answer]:
    """Those about a sequence, by its id with or without the tenant, and a step, by its id or
    its number from 1. A refusal stands for every step."""
    return [
        each
        for each in found
        if (sequence is None or is_named(each.sequence_id, sequence))
        and (step is None or step in (each.step_id, str(each.number)) or each.step_id is None)
    ]


def is_named(sequence_id: str, name: str) -> bool:
    return name in (sequence_id, sequence_id.partition(".")[2])


def _of_passage(
    passage: Passage, definitions: Definitions, now: datetime, say: Say
) -> Iterator[Answer]:
    known = definitions.get((passage.sequence_id, passage.version))
    steps = known or tuple(
        (each.step_id, each.channel)
        for each in sorted(passage.steps.values(), key=lambda each: each.index)
    )
    # Steps of an earlier version that the lead had before it was migrated are not forgotten.
    there = {step_id for step_id, _ in steps}
    steps += tuple(
        (each.step_id, each.channel) for each in passage.steps.values() if each.step_id not in there
    )
    current = passage.current()
    last = current.step_id if current is not None else steps[-1][0] if steps else ""
    for number, (step_id, channel) in enumerate(steps, 1):
        step = passage.steps.get(step_id) or Step(step_id, channel, number - 1)
        state, at, rule, inputs, words = _verdict(passage, step, now, say)
        yield Answer(
            sequence_id=passage.sequence_id,
            version=passage.version,
            enrollment_id=passage.enrollment_id,
            entered_at=passage.entered_at,
            step_id=step_id,
            number=number,
            channel=channel,
            state=state,
            at=at,
            rule=rule,
            inputs=inputs,
            text=" ".join(
                (words, *_moves(step, state, say), *_in_vain(passage, step_id == last, say))
            ),
        )


Verdict = tuple[str, datetime | None, str, Mapping[str, str], str]


def _verdict(passage: Passage, step: Step, now: datetime, say: Say) -> Verdict:
    if step.message is not None:
        return _of_message(step, say)
    if step.fired_at is not None:
        return "queued", step.fired_at, "", {}, f"It came due at {say(step.fired_at)}."
    if (skip := step.skipped) is not None:
        words = f"It was skipped at {say(skip.at)}: {because(skip.rule, skip.inputs, say)}."
        return "skipped", skip.at, skip.rule, skip.inputs, words
    if (end := passage.ended) is not None:
        if not end.rule:
            words = "The sequence is finished, and the step was not in the lead's way through it."
            return "passed_over", end.at, "", {}, words
        words = (
            f"The sequence ended at {say(end.at)}, before the step's turn: "
            f"{because(end.rule, end.inputs, say)}."
        )
        return "stopped", end.at, end.rule, end.inputs, words
    current = passage.current()
    if (pause := passage.pause()) is not None:
        due = "" if step.due_at is None else f" It is due at {say(step.due_at)}."
        words = (
            f"The lead's way through the sequence is paused since {say(pause.at)}: "
            f"{because(pause.rule, pause.inputs, say)}.{due}"
        )
        return "paused", pause.at, pause.rule, pause.inputs, words
    if step is not current or step.due_at is None:
        before = "" if current is None else f": {current.step_id} comes before it"
        due = "" if current is None or current.due_at is None else f", at {say(current.due_at)}"
        if current is not None and step.index < current.index:
            words = "The lead passed it when it was moved to another version."
            return "passed_over", None, "", {}, words
        return "later", None, "", {}, f"Its turn has not come{before}{due}."
    move = step.moves[-1]
    why = f": {because(move.rule, move.inputs, say)}" if move.rule else ""
    if step.due_at > now:
        words = f"It is not due before {say(step.due_at)}{why}."
        return "not_due", step.due_at, move.rule, move.inputs, words
    words = f"It was due at {say(step.due_at)}, and the sequencer has not come to it yet{why}."
    return "due", step.due_at, move.rule, move.inputs, words


def _of_message(step: Step, say: Say) -> Verdict:
    assert step.message is not None
    kind, at, data = step.message
    rule, inputs = str(data.get("rule") or ""), data.get("inputs") or {}
    match kind:
        case "MessageSent":
            number = f", provider id {data['provider_id']}" if data.get("provider_id") else ""
            words = f"It did go out, at {say(at)}: accepted by {data.get('provider')}{number}."
            return "sent", at, "", {}, f"{words}{_fate(step, say)}"
        case "MessageRecorded":
            words = f"It was put down for a person at {say(at)}: {step.channel} is done by people."
            return "recorded", at, "", {}, words
        case "MessageHeld":
            words = f"It came due and is held since {say(at)}: {because(rule, inputs, say)}."
            return "held", at, rule, inputs, words
        case "MessageSuppressed":
            words = f"It came due but was not sent, at {say(at)}: {because(rule, inputs, say)}."
            return "suppressed", at, rule, inputs, words
        case "MessageFailed":
            tries = data.get("attempts", 1)
            words = (
                f"It failed for good at {say(at)}, after {tries} "
                f"attempt{'' if tries == 1 else 's'} with {data.get('provider')}: "
                f"{data.get('reason')}."
            )
            return "failed", at, str(data.get("error_class") or ""), {}, words
        case "MessageUnknown":
            words = (
                f"It may or may not have gone out, at {say(at)}: {data.get('reason')}. "
                "It is not sent again before a person has looked."
            )
            return "unknown", at, "", {}, words
        case "MessageReviewed" if data.get("decision") == "rejected":
            reason = f": {data['reason']}" if data.get("reason") else ""
            words = f"{data.get('reviewer')} rejected it at {say(at)}{reason}."
            return "rejected", at, "rejected", {}, words
        case "MessageReviewed":
            words = f"{data.get('reviewer')} approved it at {say(at)}; it waits to be sent."
            return "queued", at, "", {}, words
        case _:
            words = f"It came due at {say(at)} and waits for the dispatcher."
            return "queued", at, "", {}, words


_FATES = {
    AGAIN: "sent again",
    "MessageDelivered": "delivered",
    "MessageBounced": "returned (bounced)",
    "MessageComplained": "called spam",
}


def _fate(step: Step, say: Say) -> str:
    fate = "".join(f" It was {_FATES[kind]} at {say(at)}." for kind, at in step.after)
    if (again := step.again) is not None:
        words = because(again.rule, again.inputs, say)
        fate += f" It was asked for again at {say(again.at)}, in vain: {words}."
    return fate


def _in_vain(passage: Passage, here: bool, say: Say) -> Iterator[str]:
    """What somebody asked of the passage for nothing: said once, at the step that it stands on."""
    if here and (asked := passage.in_vain) is not None:
        words = because(asked.ruling.rule, asked.ruling.inputs, say)
        yield f"{asked.by} asked to {asked.command} it at {say(asked.ruling.at)}, in vain: {words}."


def _moves(step: Step, state: str, say: Say) -> Iterator[str]:
    """The times for which the step was planned before, and the rule of each."""
    moves = step.moves[:-1] if state in ("not_due", "due") else step.moves
    for move in moves:
        if move.rule:
            words = because(move.rule, move.inputs, say)
            yield f"It had been moved to {say(move.due_at)}: {words}."

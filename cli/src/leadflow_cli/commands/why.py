"""`leadflow why LEAD_ID [SEQUENCE] [STEP]`: why a step did, or did not, go out to a lead."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from leadflow.records import SequencePublished
from leadflow.topics import SEQUENCE_DEFINITIONS
from leadflow_cli import trial
from leadflow_cli.commands.lead import read_story
from leadflow_cli.errors import CliError
from leadflow_cli.reading import reader
from leadflow_cli.targets import Target
from leadflow_cli.terminal import console
from leadflow_cli.timeline import in_order, rows, zone
from portal_api.local_time import both
from portal_api.why import Answer, answers, chosen, is_named


def why(
    lead_id: Annotated[str, typer.Argument(help="The lead's id, as the portal shows it.")],
    sequence: Annotated[
        str | None, typer.Argument(help="A sequence; without one, all that the lead is told of.")
    ] = None,
    step: Annotated[
        str | None, typer.Argument(help="A step, by its id or its number from 1.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The answers as JSON.")] = False,
) -> None:
    """Say why each step of a sequence went out to a lead, or did not, or has not yet.

    Read from the topics: every decision is in them with its rule and what that looked at.
    """
    with reader(Target.find(os.environ).kafka_bootstrap) as log:
        story = in_order(read_story(log, lead_id))
        definitions_read = trial.of_topic(log.to_end(log.partitions(SEQUENCE_DEFINITIONS.name)))
    tenants = {told.record.tenant_id for told in story}
    published = [each for each in definitions_read if each.tenant_id in tenants]
    where = zone(story)
    definitions = {
        (each.sequence_id, each.version): tuple((s.step_id, s.channel) for s in each.steps)
        for each in published
    }
    every = answers(rows(story), definitions, datetime.now(UTC), lambda at: both(at, where))
    found = chosen(every, sequence, step)
    if not found:
        raise CliError(nothing(every, published, sequence, step))
    if as_json:
        print(json.dumps([_plain(each) for each in found], indent=1, ensure_ascii=False))
        return
    out = console()
    for line in lines(found, where):
        out.print(line, soft_wrap=True)


def lines(found: Iterable[Answer], where: str) -> Iterator[str]:
    """A heading for each passage, and a line for each step."""
    passage = None
    for each in found:
        if each.enrollment_id is None:
            passage = None
            yield f"{each.sequence_id}: {each.text}  ({_rule(each)})"
            continue
        if each.enrollment_id != passage:
            passage = each.enrollment_id
            entered = "" if each.entered_at is None else f", entered {both(each.entered_at, where)}"
            yield f"{each.sequence_id}, version {each.version}{entered}"
        decided = f"  ({_rule(each)})" if each.rule else ""
        yield f"  {each.number}. {each.step_id} ({each.channel}): {each.text}{decided}"


def nothing(
    every: Iterable[Answer],
    published: Sequence[SequencePublished],
    sequence: str | None,
    step: str | None,
) -> str:
    """Why there is no answer, in a sentence."""
    of_sequence = chosen(every, sequence, None)
    if of_sequence:
        steps = ", ".join(str(each.step_id) for each in of_sequence if each.step_id)
        return f"there is no step {step}; there are {steps}"
    if sequence is None:
        return "nothing has tried to enroll the lead in any sequence"
    definition = next(
        (each for each in reversed(published) if is_named(each.sequence_id, sequence)), None
    )
    if definition is None:
        return f"no sequence {sequence} was ever published"
    trigger = f"{definition.trigger.kind} {definition.trigger.value}".strip()
    return (
        f"nothing has tried to enroll the lead in {definition.sequence_id}, "
        f"which is {definition.status} and is entered by {trigger}"
    )


def _rule(answer: Answer) -> str:
    given = ", ".join(f"{name}={value}" for name, value in sorted(answer.inputs.items()))
    return f"rule {answer.rule}: {given}" if given else f"rule {answer.rule}"


def _plain(answer: Answer) -> dict[str, object]:
    return {
        name: value.astimezone(UTC).isoformat(timespec="milliseconds")
        if isinstance(value, datetime)
        else value
        for name, value in asdict(answer).items()
    }

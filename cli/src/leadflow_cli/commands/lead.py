"""`leadflow lead LEAD_ID`: a lead's story, read from the topics themselves."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Annotated

import typer

from leadflow.codec import Codec
from leadflow.errors import CodecError
from leadflow.kafka.murmur2 import partition_of
from leadflow.kafka.port import TopicPartition
from leadflow.raw_json import decode_raw_event
from leadflow.records import LeadCreated, LeadUpdated
from leadflow.topic import Topic
from leadflow.topics import RAW_EVENTS
from leadflow_cli.errors import CliError
from leadflow_cli.reading import Reader, reader
from leadflow_cli.targets import Target
from leadflow_cli.terminal import console
from leadflow_cli.timeline import LEAD_TOPICS, Told, as_json, in_order, lines


def lead(
    lead_id: Annotated[str, typer.Argument(help="The lead's id, as the portal shows it.")],
    everything: Annotated[
        bool, typer.Option("--all", help="Show every field, names and texts among them.")
    ] = False,
    json_lines: Annotated[
        bool, typer.Option("--json", help="Every field, a JSON object a line.")
    ] = False,
) -> None:
    """Tell all that happened to a lead, in order, a line each, decisions with their rule.

    Times are the lead's own, with UTC beside them. It needs no service: it reads the lead's own
    partition of every topic.
    """
    bootstrap = Target.find(os.environ).kafka_bootstrap
    with reader(bootstrap) as log:
        story = in_order(read_story(log, lead_id))
    if json_lines:
        for record in as_json(story):
            print(json.dumps(record, ensure_ascii=False))
        return
    out = console()
    for line in lines(story, everything=everything):
        out.print(line, soft_wrap=True)


def read_story(log: Reader, lead_id: str) -> list[Told]:
    """Every record about the lead, and the raw events under the keys of its sightings.

    Raises CliError if there is none.
    """
    key = lead_id.encode()
    codec = Codec()
    story = []
    for message in log.to_end(_partition(log, topic, key) for topic in LEAD_TOPICS):
        if message.key == key:
            try:
                story.append(Told(message, codec.decode(message.value)))
            except CodecError:
                continue  # a dead-letter topic has it
    if not story:
        raise CliError(f"no topic knows a lead {lead_id}")
    sightings = {
        f"{told.record.tenant_id}:{told.record.source}:{told.record.external_id}".encode()
        for told in story
        if isinstance(told.record, (LeadCreated, LeadUpdated))
    }
    for message in log.to_end(_distinct(_partition(log, RAW_EVENTS, key) for key in sightings)):
        if message.key in sightings:
            try:
                story.append(Told(message, decode_raw_event(codec, message)))
            except CodecError:
                continue
    return story


def _partition(log: Reader, topic: Topic, key: bytes) -> TopicPartition:
    count = len(log.partitions(topic.name))
    return TopicPartition(topic.name, partition_of(key, count))


def _distinct(places: Iterable[TopicPartition]) -> list[TopicPartition]:
    return list(dict.fromkeys(places))

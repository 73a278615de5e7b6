"""Everything that the topics say about leads of which something is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.endurance.reading import STREAMS, read_all

from leadflow import topics
from leadflow.codec import Codec
from leadflow.errors import LeadflowError
from sequencer import rowcodec


def keep(bootstrap: str, group: str, lead_ids: Iterable[str], folder: Path) -> None:
    """One file a lead, a line for each record about it, in the order in which the broker
    took them (milliseconds since 1970)."""
    wanted = {each.encode() for each in lead_ids}
    lines: dict[bytes, list[tuple[int, str]]] = {key: [] for key in wanted}
    changelog = f"{group}-leads-changelog"
    names = (*STREAMS, topics.MESSAGES.name, topics.ENROLLMENT_EVENTS.name, changelog)
    for name in (*names, topics.SEQUENCER_DLQ.name):
        for message in read_all(bootstrap, name):
            if message.key() in wanted:
                at = message.timestamp()[1]
                shown = {
                    "at": at,
                    "topic": name,
                    "partition": message.partition(),
                    "offset": message.offset(),
                    **_said(name == changelog, message),
                }
                lines[message.key()].append((at, json.dumps(shown, default=str)))
    for key, found in lines.items():
        path = folder / f"{key.decode() or 'no-key'}.jsonl"
        path.write_text("".join(f"{line}\n" for _at, line in sorted(found)))


def _said(is_row: bool, message: Any) -> dict[str, Any]:
    try:
        record: Any = (
            rowcodec.decode(message.key(), message.value())
            if is_row
            else Codec().decode(message.value())
        )
    except LeadflowError as error:
        return {"unreadable": str(error)}
    return {"type": type(record).__name__, **asdict(record)}

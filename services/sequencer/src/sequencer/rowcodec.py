"""A lead's row to bytes and back.

    byte 0       version of the row's format
    bytes 1-8    when it is to be looked at next, milliseconds since 1970, big-endian; 0: never
    byte 9       1 if a step is due that waits for automation to be resumed
    bytes 10-    the row in Avro, by the schema of that version (`row.vN.avsc`)

The index of what is due is rebuilt from the header alone, without decoding a row.
"""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Any, NamedTuple

import fastavro
from fastavro import schemaless_reader, schemaless_writer

from leadflow import topics
from leadflow.errors import Malformed
from sequencer.model import (
    Consent,
    Enrollment,
    Finished,
    KeptArm,
    LeadRow,
    Profile,
    ReadUpTo,
    Resent,
    StopAhead,
)

VERSION = 7
READABLE = range(1, VERSION + 1)
HEADER = struct.Struct(">BqB")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
# What rows are written with: to both is only added, at the end.
TOPICS = (topics.LEAD_EVENTS.name, topics.ENROLLMENT_COMMANDS.name, topics.MESSAGE_EVENTS.name)
WORDS = (
    "sent",
    "delivered",
    "opened",
    "clicked",
    "replied",
    "bounced",
    "failed",
    "complained",
    "done",
)
BITS = {word: 1 << number for number, word in enumerate(WORDS)}


class Header(NamedTuple):
    """What the index of due steps needs of a row."""

    version: int
    due_ms: int
    held: bool


def to_ms(at: datetime) -> int:
    """Milliseconds since 1970, rounded down: the precision of the wire."""
    return (at - EPOCH) // MILLISECOND


def from_ms(milliseconds: int) -> datetime:
    return EPOCH + milliseconds * MILLISECOND


def header(data: bytes) -> Header:
    """The header of an encoded row. Raises Malformed."""
    if len(data) < HEADER.size:
        raise Malformed("a row shorter than its header")
    version, due_ms, held = HEADER.unpack_from(data)
    return Header(version, due_ms, bool(held))


def encode(row: LeadRow) -> bytes:
    """The row without its key, the lead's id."""
    due = row.next_due()
    out = BytesIO()
    out.write(HEADER.pack(VERSION, 0 if due is None else to_ms(due), row.is_held()))
    schemaless_writer(out, _schema(VERSION), _to_avro(row))
    return out.getvalue()


def decode(key: bytes, data: bytes) -> LeadRow:
    """The row of the lead `key`; what an older format lacks has its default. Raises Malformed."""
    version = header(data).version
    if version not in READABLE:
        raise Malformed(f"a row of version {version}, which this program does not know")
    body = BytesIO(data)
    body.seek(HEADER.size)
    try:
        values: Any = schemaless_reader(
            body, _schema(version), None if version == VERSION else _schema(VERSION)
        )
        return _from_avro(key.decode(), values)
    except Exception as error:  # fastavro fails in many ways on broken bytes
        raise Malformed(f"not a row: {type(error).__name__}") from error


@cache
def _schema(version: int) -> Any:
    text = files("sequencer").joinpath(f"row.v{version}.avsc").read_text()
    return fastavro.parse_schema(json.loads(text))


def _to_avro(row: LeadRow) -> dict[str, Any]:
    profile = row.profile
    return {
        "tenant_id": row.tenant_id,
        "owner": row.owner,
        "source": row.source,
        "status": row.status,
        "created": row.created,
        "profile": {
            "first_name": profile.first_name,
            "last_name": profile.last_name,
            "email": profile.email,
            "phone": profile.phone,
            "company": profile.company,
            "title": profile.title,
            "service": profile.service,
            "street": profile.street,
            "city": profile.city,
            "region": profile.region,
            "postal_code": profile.postal_code,
            "country": profile.country,
            "language": profile.language,
            "timezone": profile.timezone,
            "urgency": profile.urgency,
        },
        "profile_revision": row.profile_revision,
        "stage": row.stage,
        "stage_revision": row.stage_revision,
        "temperature": row.temperature,
        "consent": [
            {
                "channel": each.channel,
                "granted": each.granted,
                "basis": each.basis,
                "at": to_ms(each.at),
            }
            for each in row.consent
        ],
        "live": [
            {
                "enrollment_id": _bytes(each.enrollment_id),
                "sequence_id": each.sequence_id,
                "version": each.version,
                "entry": each.entry,
                "enrolled_at": to_ms(each.enrolled_at),
                "step_index": each.step_index,
                "due_at": to_ms(each.due_at),
                "paused_by": each.paused_by,
                "held_by": each.held_by,
                "waits_for": each.waits_for,
                "passed": each.passed,
                "outcomes": [one for one in each.outcomes if not _in_short(one)],
                "became": _became(each.outcomes),
                "resent": [
                    {"step_id": one.step_id, "message_id": _bytes(one.message_id)}
                    for one in each.resent
                ],
                "arms": [{"of": one.of, "name": one.name} for one in each.arms],
                "cause": each.cause,
                "stepped_at": _or_zero(each.stepped_at),
            }
            for each in row.live
        ],
        "finished": [
            {
                "sequence_id": each.sequence_id,
                "entries": each.entries,
                "ended_at": to_ms(each.ended_at),
                "outcome": each.outcome,
                "version": each.version,
                "cause": each.cause,
            }
            for each in row.finished
        ],
        "entries_before": row.entries_before,
        "touched_at": _or_zero(row.touched_at),
        "responded_at": _or_zero(row.responded_at),
        "review_at": _or_zero(row.review_at),
        "away_until": _or_zero(row.away_until),
        "dormant_in": row.dormant_in,
        "sent": [to_ms(each) for each in row.sent],
        "ahead": [
            {
                "enrollment_id": each.enrollment_id,
                "event_id": each.event_id,
                "requested_by": each.requested_by,
                "at": to_ms(each.at),
            }
            for each in row.ahead
        ],
        "read": [
            {
                "topic": TOPICS.index(each.topic),
                "offset": each.offset,
                "latest_ms": each.latest_ms,
            }
            for each in row.read
        ],
        "applied": row.applied,
    }


def _in_short(outcome: str) -> bool:
    step_id, _, word = outcome.rpartition(":")
    return bool(step_id) and word in BITS


def _became(outcomes: tuple[str, ...]) -> list[dict[str, Any]]:
    """What has a bit, in its order: a step is named again where its words do not rise."""
    runs: list[dict[str, Any]] = []
    for outcome in filter(_in_short, outcomes):
        step_id, _, word = outcome.rpartition(":")
        bit = BITS[word]
        if runs and runs[-1]["step_id"] == step_id and runs[-1]["words"] < bit:
            runs[-1]["words"] |= bit
        else:
            runs.append({"step_id": step_id, "words": bit})
    return runs


def _bytes(uuid: str) -> bytes:
    return bytes.fromhex(uuid.replace("-", ""))


def _or_zero(at: datetime | None) -> int:
    return 0 if at is None else to_ms(at)


def _uuid(data: bytes) -> str:
    text = data.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _outcomes(runs: list[dict[str, Any]]) -> list[str]:
    return [
        f"{run['step_id']}:{word}" for run in runs for word in WORDS if run["words"] & BITS[word]
    ]


def _enrollment(data: dict[str, Any]) -> Enrollment:
    outcomes = (*data["outcomes"], *_outcomes(data.pop("became")))
    told = {
        "enrollment_id": _uuid(data["enrollment_id"]),
        "enrolled_at": from_ms(data["enrolled_at"]),
        "due_at": from_ms(data["due_at"]),
        "passed": tuple(data["passed"]),
        "outcomes": outcomes,
        "resent": tuple(Resent(e["step_id"], _uuid(e["message_id"])) for e in data["resent"]),
        "arms": tuple(KeptArm(**each) for each in data["arms"]),
        "cause": data["cause"] or b"",  # fastavro gives an older row's default as text
        "stepped_at": from_ms(data["stepped_at"]) if data["stepped_at"] else None,
    }
    return Enrollment(**{**data, **told})


def _from_avro(lead_id: str, data: dict[str, Any]) -> LeadRow:
    data["profile"] = Profile(**data["profile"])
    data["consent"] = tuple(
        Consent(**{**each, "at": from_ms(each["at"])}) for each in data["consent"]
    )
    data["live"] = tuple(_enrollment(each) for each in data["live"])
    data["finished"] = tuple(
        Finished(**{**each, "ended_at": from_ms(each["ended_at"]), "cause": each["cause"] or b""})
        for each in data["finished"]
    )
    for name in ("touched_at", "responded_at", "review_at", "away_until"):
        data[name] = from_ms(data[name]) if data[name] else None
    data["dormant_in"] = tuple(data["dormant_in"])
    data["sent"] = tuple(from_ms(each) for each in data["sent"])
    data["ahead"] = tuple(
        StopAhead(**{**each, "at": from_ms(each["at"])}) for each in data["ahead"]
    )
    data["read"] = tuple(
        ReadUpTo(TOPICS[each["topic"]], each["offset"], each["latest_ms"]) for each in data["read"]
    )
    return LeadRow(lead_id=lead_id, **data)

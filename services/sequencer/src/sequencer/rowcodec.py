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

from leadflow.errors import Malformed
from sequencer.model import Consent, Enrollment, Finished, LeadRow, Profile, StopAhead

VERSION = 6
READABLE = range(1, VERSION + 1)
HEADER = struct.Struct(">BqB")
MARK_BYTES = 8
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


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
                "enrollment_id": bytes.fromhex(each.enrollment_id.replace("-", "")),
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
                "outcomes": each.outcomes,
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
        "applied": b"".join(row.applied),
    }


def _or_zero(at: datetime | None) -> int:
    return 0 if at is None else to_ms(at)


def _uuid(data: bytes) -> str:
    text = data.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _from_avro(lead_id: str, data: dict[str, Any]) -> LeadRow:
    applied: bytes = data["applied"]
    data["profile"] = Profile(**data["profile"])
    data["consent"] = tuple(
        Consent(**{**each, "at": from_ms(each["at"])}) for each in data["consent"]
    )
    data["live"] = tuple(
        Enrollment(
            **{
                **each,
                "enrollment_id": _uuid(each["enrollment_id"]),
                "enrolled_at": from_ms(each["enrolled_at"]),
                "due_at": from_ms(each["due_at"]),
                "passed": tuple(each["passed"]),
                "outcomes": tuple(each["outcomes"]),
            }
        )
        for each in data["live"]
    )
    data["finished"] = tuple(
        Finished(**{**each, "ended_at": from_ms(each["ended_at"])}) for each in data["finished"]
    )
    for name in ("touched_at", "responded_at", "review_at", "away_until"):
        data[name] = from_ms(data[name]) if data[name] else None
    data["dormant_in"] = tuple(data["dormant_in"])
    data["sent"] = tuple(from_ms(each) for each in data["sent"])
    data["ahead"] = tuple(
        StopAhead(**{**each, "at": from_ms(each["at"])}) for each in data["ahead"]
    )
    data["applied"] = tuple(
        applied[start : start + MARK_BYTES] for start in range(0, len(applied), MARK_BYTES)
    )
    return LeadRow(lead_id=lead_id, **data)

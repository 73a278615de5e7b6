"""Rows of leads in the middle of a sequence, as the sequencer keeps them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

from leadflow import ids
from sequencer import rowcodec
from sequencer.model import Consent, Enrollment, LeadRow, Profile, ReadUpTo, digest

SEQUENCE = "bench.first-touch"
KINDS = 500
ABOUT_A_MONTH_MS = 30 * 86_400_000


def lead_id(number: int) -> str:
    return ids.lead_id("bench", "website-form", str(number))


def row(number: int, due_at: datetime) -> LeadRow:
    """Two messages are behind the lead, the third is due."""
    lead = lead_id(number)
    word = f"{number * 2_654_435_761 % 2**32:08x}"
    return LeadRow(
        lead_id=lead,
        tenant_id="bench",
        owner="kim",
        source="website-form",
        status="active",
        created=True,
        profile=Profile(
            first_name=word[:4].title(),
            last_name=word[4:].title(),
            email=f"{word}@example.com",
            phone=f"+1512555{number % 10_000:04}",
            service="gutters",
            city="Round Rock",
            timezone="America/Chicago",
            urgency="normal",
        ),
        profile_revision=2,
        stage="contacted",
        stage_revision=1,
        temperature="warm",
        consent=tuple(
            Consent(
                channel=channel,
                granted=True,
                basis="consent",
                at=due_at - timedelta(days=number % 900),
            )
            for channel in ("email", "sms")
        ),
        live=(
            Enrollment(
                enrollment_id=ids.enrollment_id(lead, SEQUENCE, 1),
                sequence_id=SEQUENCE,
                version=1,
                entry=1,
                enrolled_at=due_at - timedelta(days=3),
                step_index=2,
                due_at=due_at,
                passed=("step-0", "step-1"),
                outcomes=("step-0:sent", "step-1:sent"),
                cause=digest(f"created {number}"),
            ),
        ),
        sent=(due_at - timedelta(days=3), due_at - timedelta(days=2)),
        read=(ReadUpTo("lead-events", 4_000_000 + number, rowcodec.to_ms(due_at)),),
        applied=b"".join(digest(ids.derived_id(lead, str(each))) for each in range(6)),
    )


def encoded_rows(count: int, due_at: datetime) -> Iterator[tuple[bytes, int, bytes]]:
    """Keys, times in the month after `due_at` in milliseconds, and rows that say so in their
    header: enough to recover and to index them, and of a real row's size. They are made of a few
    real ones and of bytes that differ from row to row as ids and times do."""
    chance = random.Random(1)
    kinds = [rowcodec.encode(row(number, due_at)) for number in range(KINDS)]
    version, first, held = rowcodec.HEADER.unpack_from(kinds[0])
    for number in range(count):
        due_ms = first + chance.randrange(ABOUT_A_MONTH_MS)
        body = kinds[number % KINDS][rowcodec.HEADER.size :]
        value = rowcodec.HEADER.pack(version, due_ms, held) + body[:-64] + chance.randbytes(64)
        yield lead_id(number).encode(), due_ms, value

"""The shipped demo leads end where demo/expected.json says, whatever decides about them."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from intake.book import Book
from intake.decide import decide
from intake.prepare import prepare
from leadflow.errors import CodecError, RecordRefused
from leadflow.raw_json import raw_event_from_json
from leadflow.records import LeadCreated, LeadUpdated
from leadflow.tenants import Tenant, load

DEMO = Path(__file__).parents[3] / "demo"
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def name_of(line: str, number: int) -> str:
    try:
        return str(json.loads(line)["event_id"])
    except ValueError:
        return f"line:{number}"


def outcome(line: str, book: Book, tenants: dict[str, Tenant]) -> str:
    try:
        raw = raw_event_from_json(line, NOW)
        tenant = tenants[raw.tenant_id]
        prepared = prepare(raw, tenant)
        decision = decide(book.known(prepared), prepared, tenant, NOW)
    except (CodecError, RecordRefused):
        return "dlq"
    book.apply(decision)
    if decision.error is not None:
        return "dlq"
    first = decision.records[0]
    assert all(record.cause_id == raw.event_id for record in decision.records)  # type: ignore[attr-defined]
    if isinstance(first, LeadCreated) and first.status == "quarantined":
        return "quarantined"
    merged = isinstance(first, LeadUpdated) and first.duplicate_rule is not None
    return "merged" if merged else "normalized"


def test_every_demo_event_ends_where_it_is_expected_and_all_are_accounted_for() -> None:
    tenants = dict(load(DEMO / "tenants.toml"))
    book = Book()
    expected = json.loads((DEMO / "expected.json").read_text())
    for file in ("leads.jsonl", "followups.jsonl"):
        lines = (DEMO / file).read_text().splitlines()
        seen = {name_of(line, n): outcome(line, book, tenants) for n, line in enumerate(lines, 1)}
        assert seen == expected[file]["events"]
        assert Counter(seen.values()) == Counter(expected[file]["counts"])
        assert len(lines) == expected[file]["received"]

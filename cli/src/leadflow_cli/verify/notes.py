"""What has been read so far, in a file of SQLite that goes away at the end.

Millions of messages are held against each other; what is in memory is SQLite's page cache.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

CACHE_KIB = 65_536

TABLES = """
CREATE TABLE queued (message_id PRIMARY KEY, tenant_id, read INTEGER, lead_id, channel,
    recipient_sha256, address_sha256, as_queued) WITHOUT ROWID;
CREATE TABLE places (message_id, partition INTEGER, offset INTEGER, PRIMARY KEY (partition, offset))
    WITHOUT ROWID;
CREATE TABLE dead (partition INTEGER, offset INTEGER, PRIMARY KEY (partition, offset))
    WITHOUT ROWID;
CREATE TABLE told (message_id, state, tenant_id, body_sha256, provider_id,
    PRIMARY KEY (message_id, state)) WITHOUT ROWID;
CREATE TABLE ledger (message_id PRIMARY KEY, tenant_id, channel, state, rule, body_sha256, provider,
    provider_id, response_sha256, in_doubt INTEGER, changed_at_us INTEGER,
    wire_sha256, lead_id, recipient_sha256, address_sha256, to_sha256, as_queued)
    WITHOUT ROWID;
CREATE TABLE chained (message_id PRIMARY KEY, tenant_id, seq INTEGER, state, rule, body_sha256,
    provider, provider_id, response_sha256, format INTEGER, lead_id, channel, to_sha256,
    at_us INTEGER)
    WITHOUT ROWID;
CREATE TABLE accepted (id, key, channel, body_sha256, early INTEGER);
CREATE INDEX accepted_key ON accepted (key);
"""


class Notes:
    """A database whose tables the readers fill and `findings` asks."""

    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{CACHE_KIB}"):
            self.db.execute(f"PRAGMA {pragma}")
        self.db.executescript(TABLES)

    def add(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Many rows by one statement, in one transaction."""
        self.db.execute("BEGIN")
        self.db.executemany(statement, rows)
        self.db.execute("COMMIT")

    def ask(self, question: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        yield from self.db.execute(question, values)

    def count(self, question: str, *values: Any) -> int:
        return int(self.db.execute(question, values).fetchone()[0])


@contextmanager
def new_notes() -> Iterator[Notes]:
    """Notes in a folder of their own."""
    with TemporaryDirectory(prefix="leadflow-verify-") as folder:
        notes = Notes(Path(folder) / "notes.sqlite")
        try:
            yield notes
        finally:
            notes.db.close()

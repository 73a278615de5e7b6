"""Rows into tables: one statement a table and batch, made from the table's own rules."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from portal_api.projections.rows import Row, Rows, Rule, Table

NUL = rb"\u0000"


async def insert_new(connection: AsyncConnection, table: Table, rows: Sequence[Row]) -> set[str]:
    """Insert the rows whose key is not there yet; return the (single-column) keys of those."""
    if not rows:
        return set()
    (key,) = table.key
    columns = _columns(table)
    done = await connection.execute(
        text(
            f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM {_source(table)} "  # noqa: S608
            f"ON CONFLICT DO NOTHING RETURNING {key}"
        ),
        {"rows": as_json(rows)},
    )
    return set(done.scalars())


async def upsert(connection: AsyncConnection, rows: Rows) -> None:
    """Insert every row, or merge it into the one that is there by the rules of its table."""
    for table in rows.tables():
        await connection.execute(text(_upsert(table)), {"rows": as_json(rows.of(table))})


@cache
def _upsert(table: Table) -> str:
    columns = _columns(table)
    changes = ", ".join(
        f"{_quoted(column)} = {_merged(column, rule)}" for column, rule in table.rules.items()
    )
    keys = ", ".join(_quoted(column) for column in table.key)
    return (
        f"INSERT INTO {table.name} AS t ({columns}) SELECT {columns} FROM {_source(table)} "  # noqa: S608
        f"ON CONFLICT ({keys}) DO UPDATE SET {changes}"
    )


def _merged(column: str, rule: Rule) -> str:
    """The SQL of `Table.merge` for one column."""
    name = _quoted(column)
    old, new = f"t.{name}", f"excluded.{name}"
    if rule.kind == "by":
        guard = _quoted(rule.guard)
        # A comparison with NULL is not true: an unsaid guard takes nothing.
        newer = (
            f"excluded.{guard} >= t.{guard} OR (t.{guard} IS NULL AND excluded.{guard} IS NOT NULL)"
        )
        return f"CASE WHEN {newer} THEN {new} ELSE {old} END"
    return {
        "first": f"coalesce({old}, {new})",
        "last": f"coalesce({new}, {old})",
        "least": f"LEAST({old}, {new})",
        "greatest": f"GREATEST({old}, {new})",
    }[rule.kind]


def _source(table: Table) -> str:
    return f"json_populate_recordset(NULL::{table.name}, CAST(CAST(:rows AS text) AS json))"


def _columns(table: Table) -> str:
    return ", ".join(_quoted(column) for column in table.columns)


def _quoted(name: str) -> str:
    return f'"{name}"'


def as_json(rows: Sequence[Row]) -> str:
    """Rows as PostgreSQL takes them: it knows no NUL and no half of a surrogate pair."""
    try:
        quick = orjson.dumps(rows)
    except orjson.JSONEncodeError:
        quick = NUL  # half of a pair, or a number of more than 64 bits
    if NUL not in quick:
        return quick.decode()
    written = json.dumps(rows, default=_plain, ensure_ascii=False, separators=(",", ":"))
    if NUL.decode() in written:
        clean = _without_nul(json.loads(written))
        written = json.dumps(clean, ensure_ascii=False, separators=(",", ":"))
    return written.encode("utf-8", "replace").decode()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\x00", "")
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nul(item) for item in value]
    return value

"""Engines whose JSON columns come back as Python values, and two ways to ask them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from leadflow import database

Values = Mapping[str, Any]


def engine(url: str, *, pool_size: int = 8) -> AsyncEngine:
    """As `leadflow.database.engine`, with json and jsonb decoded."""
    made = database.engine(url, pool_size=pool_size)

    @event.listens_for(made.sync_engine, "connect")
    def _decode_json(connection: Any, _record: Any) -> None:
        for kind in ("json", "jsonb"):
            connection.run_async(
                lambda raw, kind=kind: raw.set_type_codec(
                    kind,
                    schema="pg_catalog",
                    encoder=json.dumps,
                    decoder=json.loads,
                    format="text",
                )
            )

    return made


async def rows(connection: AsyncConnection, sql: str, values: Values = {}) -> list[dict[str, Any]]:  # noqa: B006
    """What a query finds, each row as a dict."""
    found = await connection.execute(text(sql), dict(values))
    return [dict(row) for row in found.mappings()]


async def row(connection: AsyncConnection, sql: str, values: Values = {}) -> dict[str, Any] | None:  # noqa: B006
    """The first row that a query finds."""
    found = (await connection.execute(text(sql), dict(values))).mappings().first()
    return None if found is None else dict(found)


async def latest(
    connection: AsyncConnection,
    select: str,
    place: tuple[str, str],
    fitting: Values,
    *,
    after: tuple[datetime | None, str],
    limit: int,
) -> list[dict[str, Any]]:
    """Up to `limit + 1` rows of `select` behind `after`, the latest first.

    `place` names the time and the id by which rows are in order; only rows with a time are meant.
    `fitting` says what an expression of SQL has to be; None asks nothing of it.
    """
    at, name = place
    asked = {each: value for each, value in fitting.items() if value is not None}
    where = [f"{each} = :asked_{number}" for number, each in enumerate(asked)]
    where.append(f"{at} IS NOT NULL")
    values = {f"asked_{number}": value for number, value in enumerate(asked.values())}
    if after[0] is not None:
        where.append(f"({at}, {name}) < (:after_at, :after_name)")
        values |= {"after_at": after[0], "after_name": after[1]}
    return await rows(
        connection,
        f"{select} WHERE {' AND '.join(where)} ORDER BY {at} DESC, {name} DESC LIMIT :limit",
        {**values, "limit": limit + 1},
    )

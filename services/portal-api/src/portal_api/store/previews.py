"""Test sends."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

TEST_SEND = text("SELECT * FROM test_sends WHERE message_id = :message_id")


async def test_send(connection: AsyncConnection, message_id: str) -> dict[str, Any] | None:
    row = (await connection.execute(TEST_SEND, {"message_id": message_id})).mappings().one_or_none()
    return None if row is None else dict(row)

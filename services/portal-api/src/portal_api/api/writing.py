"""The frame of every write: an idempotency key is honoured, the write is audited."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse
from sqlalchemy.ext.asyncio import AsyncConnection

from portal_api.auth import Principal
from portal_api.context import Context
from portal_api.once import Done, Write, once
from portal_api.store import writes

__all__ = ["Done", "Write", "run", "wait_seconds"]


class _Keys:
    """Implements `portal_api.once.Keys` in PostgreSQL."""

    def __init__(self, context: Context, principal: Principal, action: str, target: str) -> None:
        self._context = context
        self._principal = principal
        self._action = action
        self._target = target

    async def begin(self, key: str, request_hash: str, now: datetime) -> Mapping[str, Any] | None:
        async with self._context.engine.begin() as connection:
            scope = self._principal.credential_id
            return await writes.begin(connection, scope, key, request_hash, now)

    async def refused(self, key: str, status: int, now: datetime) -> None:
        async with self._context.engine.begin() as connection:
            if key:
                await writes.give_back(connection, self._principal.credential_id, key)
            await self._audit(connection, self._target, status, {}, now)

    async def done(self, key: str, done: Done, body: Any, now: datetime) -> None:
        async with self._context.engine.begin() as connection:
            if key:
                scope = self._principal.credential_id
                await writes.finish(connection, scope, key, done.status, body)
            target = done.target or self._target
            await self._audit(connection, target, done.status, done.detail, now)

    async def _audit(
        self,
        connection: AsyncConnection,
        target: str,
        status: int,
        detail: dict[str, Any],
        now: datetime,
    ) -> None:
        await writes.audit(connection, self._principal, self._action, target, status, detail, now)


async def run(
    context: Context,
    request: Request,
    principal: Principal,
    action: str,
    target: str,
    work: Callable[[Write], Awaitable[Done]],
) -> JSONResponse:
    """Do `work` once for an Idempotency-Key; the same request again gets the first answer.

    Raises Problem 409 while the first is under way, 422 if the key came with another request.
    A refused write frees its key.
    """
    now = context.clock.now()
    key = request.headers.get("idempotency-key", "").strip()[:200]
    told = await _hash(request) if key else ""
    keys = _Keys(context, principal, action, target)
    answer = await once(keys, principal.credential_id, key, told, now, work)
    headers = {"Idempotency-Replayed": "true"} if answer.replayed else None
    return JSONResponse(answer.body, answer.status, headers)


async def _hash(request: Request) -> str:
    told = f"{request.method} {request.url.path}\n".encode() + await request.body()
    return hashlib.sha256(told).hexdigest()


def wait_seconds(request: Request, default: float) -> float:
    """How long to wait for the effect: `Prefer: wait=N` (RFC 7240), at most 10 s."""
    for part in request.headers.get("prefer", "").replace(";", ",").split(","):
        name, _, value = part.strip().partition("=")
        if name.lower() == "wait" and value.strip().isdigit():
            return float(min(10, int(value)))
    return default

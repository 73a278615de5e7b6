"""The frame of every write: an idempotency key is honoured, the write is audited."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse

from leadflow import ids
from portal_api.auth import Principal
from portal_api.context import Context
from portal_api.problems import Problem
from portal_api.store import writes


@dataclass(frozen=True, slots=True)
class Write:
    """One write under way. The ids of what it makes follow from its idempotency key, so that a
    repeat after a crash makes the same ones."""

    seed: str
    now: datetime

    def event_id(self, *parts: str | int) -> str:
        return ids.derived_id("portal", self.seed, *parts)


@dataclass(frozen=True, slots=True)
class Done:
    """What a write answers, and what of it goes into the audit log (no personal data)."""

    status: int
    body: Any
    target: str = ""
    detail: dict[str, Any] = field(default_factory=dict)


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
    scope = principal.credential_id
    if key:
        async with context.engine.begin() as connection:
            held = await writes.begin(connection, scope, key, await _hash(request), now)
        if held is not None:
            return _replayed(held, await _hash(request))
    write = Write(f"{scope}:{key}" if key else secrets.token_hex(16), now)
    try:
        done = await work(write)
    except Problem as problem:
        async with context.engine.begin() as connection:
            if key:
                await writes.give_back(connection, scope, key)
            await writes.audit(connection, principal, action, target, problem.status, {}, now)
        raise
    body = jsonable_encoder(done.body)
    async with context.engine.begin() as connection:
        if key:
            await writes.finish(connection, scope, key, done.status, body)
        await writes.audit(
            connection, principal, action, done.target or target, done.status, done.detail, now
        )
    return JSONResponse(body, done.status)


def _replayed(held: dict[str, Any], request_hash: str) -> JSONResponse:
    if held["request_hash"] != request_hash:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "Idempotency-Key: this one was used with another request.",
        )
    if held["status"] is None:
        raise Problem(HTTPStatus.CONFLICT, "The first request with this key is still under way.")
    return JSONResponse(held["body"], held["status"], {"Idempotency-Replayed": "true"})


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

"""Each write once: what a request with an Idempotency-Key does, whoever dies in the middle of it.

Without requests and SQL: the keys are behind a port, the work is the caller's.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any, Protocol

from fastapi.encoders import jsonable_encoder

from leadflow import ids
from portal_api.problems import Problem


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


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered; `replayed`: to an earlier request with the same key."""

    status: int
    body: Any
    replayed: bool = False


class Keys(Protocol):
    """The keys of one asker, and the audit log. Every method is a transaction; `key` may be
    empty."""

    async def begin(self, key: str, request_hash: str, now: datetime) -> Mapping[str, Any] | None:
        """Take a key; None if it is ours now, else what is kept of whoever had it first:
        `request_hash`, and `status` and `body` of its answer if there is one."""

    async def refused(self, key: str, status: int, now: datetime) -> None:
        """Free the key of a request that was refused: the corrected one may use it."""

    async def done(self, key: str, done: Done, body: Any, now: datetime) -> None:
        """Keep the answer, for whoever repeats the request."""


async def once(
    keys: Keys,
    scope: str,
    key: str,
    request_hash: str,
    now: datetime,
    work: Callable[[Write], Awaitable[Done]],
) -> Answer:
    """Do `work` once for a key of `scope`; the same request again gets the first answer. What is
    answered has been done: whoever dies before that leaves a key that can be taken over.

    Raises Problem 409 while the first is under way, 422 if the key came with another request.
    A refused write frees its key.
    """
    if key:
        held = await keys.begin(key, request_hash, now)
        if held is not None:
            return _replayed(held, request_hash)
    write = Write(f"{scope}:{key}" if key else secrets.token_hex(16), now)
    try:
        done = await work(write)
    except Problem as problem:
        await keys.refused(key, problem.status, now)
        raise
    body = jsonable_encoder(done.body)
    await keys.done(key, done, body, now)
    return Answer(done.status, body)


def _replayed(held: Mapping[str, Any], request_hash: str) -> Answer:
    if held["request_hash"] != request_hash:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "Idempotency-Key: this one was used with another request.",
        )
    if held["status"] is None:
        raise Problem(HTTPStatus.CONFLICT, "The first request with this key is still under way.")
    return Answer(held["status"], held["body"], replayed=True)

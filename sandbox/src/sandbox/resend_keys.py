"""Idempotency as Resend has it: one key for a request, whole batches included.

https://resend.com/docs/dashboard/emails/idempotency-keys: a key is kept for 24 hours; the same
request gets the same answer; another one under the key, or one while the first is still being
worked on, is a conflict.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sandbox.errors import Shaped

KEPT = timedelta(hours=24)
MAX_KEY_CHARS = 256


def error(status: int, name: str, message: str, headers: dict[str, str] | None = None) -> Shaped:
    """An error of https://resend.com/docs/api-reference/errors."""
    return Shaped(status, {"statusCode": status, "name": name, "message": message}, headers)


@dataclass(slots=True)
class _Use:
    digest: bytes
    at: datetime
    answer: dict[str, Any] | None = None


class ResendKeys:
    """The keys of one run and what was answered under them."""

    def __init__(self) -> None:
        self._uses: dict[str, _Use] = {}

    def begin(self, key: str | None, digest: bytes, now: datetime) -> dict[str, Any] | None:
        """The earlier answer to the same request, or None: it is to be worked on now.

        Raises Shaped for a conflict or a key that is too long.
        """
        if key is None:
            return None
        if not 1 <= len(key) <= MAX_KEY_CHARS:
            raise error(400, "invalid_idempotency_key", "The key must be between 1-256 characters.")
        use = self._uses.get(key)
        if use is None or now - use.at > KEPT:
            self._uses[key] = _Use(digest, now)
            return None
        if use.digest != digest:
            raise error(
                409,
                "invalid_idempotent_request",
                "This idempotency key has been used on a request that had a different payload.",
            )
        if use.answer is None:
            raise error(
                409,
                "concurrent_idempotent_requests",
                "Another request with the same idempotency key is currently in progress.",
            )
        return use.answer

    def finish(self, key: str | None, answer: dict[str, Any] | None) -> None:
        """The answer to keep, or None: nothing was accepted, the key is free again."""
        if key is None:
            return
        if answer is None:
            self._uses.pop(key, None)
        else:
            self._uses[key].answer = answer

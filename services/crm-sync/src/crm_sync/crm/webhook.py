"""Whoever takes part in Standard Webhooks (https://www.standardwebhooks.com) as a CRM.

The id of a webhook is that of the write, the note or the task, the same at every attempt: by the
standard it is what the receiver tells a repeat by. A receiver has nothing to read back.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import httpx

from crm_sync.crm.base import ContactWrite, CrmError, CrmSignIn, CrmUnreadable, Kept
from crm_sync.crm.guarded import answers
from crm_sync.crm.http import Caller, Gate, open_gate, refusal, retry_after
from crm_sync.model import BOTH_WAYS, Note, Task
from leadflow.clock import Clock
from leadflow.errors import SettingError

PREFIX = "whsec_"
# The standard's own bounds for a secret, in bytes.
SHORTEST_SECRET, LONGEST_SECRET = 24, 64


class WebhookCrm:
    """Implements `Crm`. `secrets` are several while one takes the place of another."""

    name = "webhook"

    def __init__(
        self,
        url: str,
        secrets: Sequence[bytes],
        clock: Clock,
        *,
        timeout_seconds: float = 10,
        gate: Gate = open_gate,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = url
        self._secrets = tuple(secrets)
        self._clock = clock
        self._caller = Caller(
            url,
            timeout_seconds,
            headers={"Content-Type": "application/json"},
            at_once=8,
            # What a receiver says beside the status is nothing to us.
            reads=False,
            gate=gate,
            transport=transport,
        )

    async def upsert(self, writes: Sequence[ContactWrite]) -> list[str | CrmError]:
        return await answers(map(self._upsert, writes))

    async def _upsert(self, write: ContactWrite) -> str:
        data = {"external_id": write.external_id, "contact": write.fields}
        await self._send("contact.upserted", f"contact_{write.key}", data)
        return write.external_id

    async def add_note(self, external_id: str, note: Note) -> None:
        data = {
            "external_id": external_id,
            "note_id": note.note_id,
            "text": note.text,
            "at": _instant(note.at),
        }
        await self._send("note.added", f"note_{note.note_id}", data)

    async def add_task(self, external_id: str, task: Task) -> None:
        data = {
            "external_id": external_id,
            "task_id": task.task_id,
            "kind": task.kind,
            "title": task.title,
            "text": task.text,
            "at": _instant(task.at),
            "owner": task.owner,
        }
        await self._send("task.added", f"task_{task.task_id}", data)

    async def read(self, external_ids: Sequence[str]) -> dict[str, Kept]:
        raise CrmUnreadable("a webhook cannot be read")

    @property
    def both_ways(self) -> Mapping[str, str]:
        return dict(zip(BOTH_WAYS, BOTH_WAYS, strict=True))

    async def whose(self, kind: str, crm_ids: Sequence[str]) -> dict[str, str]:
        # It knows its contacts by our ids.
        return dict(zip(crm_ids, crm_ids, strict=True))

    def place(self, kind: str, name: str) -> str:
        return name

    def told(self, kept: Kept, place: str) -> tuple[str, ...]:
        return (str(kept[place]),)

    def kept(self, fields: Mapping[str, Any]) -> Kept:
        return fields

    async def canary(self) -> None:
        """A webhook that says nothing, of a type of its own: that it is taken is the answer."""
        at = int(self._clock.now().timestamp())
        await self._send("ping", f"ping_{at}", {})

    async def prepare(self) -> None:
        await self.canary()

    async def close(self) -> None:
        await self._caller.close()

    async def _send(self, kind: str, webhook_id: str, data: Mapping[str, Any]) -> None:
        at = int(self._clock.now().timestamp())
        # The same bytes at every attempt: the time of the attempt is in the headers alone.
        body = json.dumps(
            {"type": kind, "data": data}, ensure_ascii=False, separators=(",", ":"), sort_keys=True
        ).encode()
        headers = {
            "webhook-id": webhook_id,
            "webhook-timestamp": str(at),
            "webhook-signature": " ".join(
                signature(secret, webhook_id, at, body) for secret in self._secrets
            ),
        }
        response = await self._caller.call("POST", self._url, kind, content=body, headers=headers)
        status = response.status_code
        if response.is_success:
            return
        reason = f"{kind}: HTTP {status}"
        if status == 404:
            raise CrmSignIn(reason)
        raise refusal(status, reason, retry_after(response))


def signature(secret: bytes, webhook_id: str, at: int, body: bytes) -> str:
    """Version 1: HMAC-SHA256 over id, seconds since 1970 and body, joined by dots."""
    signed = b"%s.%d.%s" % (webhook_id.encode(), at, body)
    return "v1," + b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()


def read_secrets(written: str) -> tuple[bytes, ...]:
    """One secret or several, `whsec_` and base64, with spaces between. Raises SettingError."""
    secrets = tuple(map(_secret, written.split()))
    if not secrets:
        raise SettingError(f"a webhook's secret is {PREFIX} and base64")
    return secrets


def _secret(written: str) -> bytes:
    try:
        secret = b64decode(written.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not SHORTEST_SECRET <= len(secret) <= LONGEST_SECRET:
        raise SettingError(
            f"a webhook's secret is {PREFIX} and {SHORTEST_SECRET} to {LONGEST_SECRET} bytes in "
            "base64"
        )
    return secret


def _instant(at: datetime) -> str:
    return at.isoformat()

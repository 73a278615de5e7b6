"""The CRM of the sandbox (`sandbox/README.md`): batches of contacts, notes one by one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx

from crm_sync.crm.base import (
    ContactWrite,
    CrmConflict,
    CrmError,
    CrmLimited,
    CrmMissing,
    CrmNever,
    CrmSignIn,
    CrmUnavailable,
)
from crm_sync.model import Note

BATCH = 100
CALLS_AT_ONCE = 4


def refusal(status: int, call: str, retry_after_seconds: float = 0) -> CrmError:
    """The error that an HTTP status (RFC 9110, RFC 6585, RFC 8470) stands for."""
    reason = f"{call}: HTTP {status}"
    retry_after = timedelta(seconds=max(0.0, retry_after_seconds))
    if status == 429:
        return CrmLimited(reason, retry_after)
    if status >= 500 or status in (408, 425):
        return CrmUnavailable(reason, retry_after)
    if status == 409:
        return CrmConflict(reason, retry_after)
    if status == 401:
        return CrmSignIn(reason)
    if status == 404:
        return CrmMissing(reason)
    return CrmNever(reason)


class SandboxCrm:
    """Implements `Crm`. `url` is the CRM's root; `timeout_seconds` bounds each call.

    `transport` replaces the network.
    """

    name = "sandbox"

    def __init__(
        self,
        url: str,
        timeout_seconds: float,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        # The address is given in full: proxies of the environment are not meant for it.
        self._client = httpx.AsyncClient(
            base_url=url,
            timeout=timeout_seconds,
            transport=transport,
            trust_env=False,
            limits=httpx.Limits(max_connections=2 * CALLS_AT_ONCE),
        )
        self._contact_calls = asyncio.Semaphore(CALLS_AT_ONCE)
        self._note_calls = asyncio.Semaphore(CALLS_AT_ONCE)

    async def upsert(self, writes: Sequence[ContactWrite]) -> list[str | CrmError]:
        chunks = [writes[start : start + BATCH] for start in range(0, len(writes), BATCH)]
        answers = await asyncio.gather(*(self._upsert_chunk(chunk) for chunk in chunks))
        return [answer for chunk in answers for answer in chunk]

    async def _upsert_chunk(self, chunk: Sequence[ContactWrite]) -> list[str | CrmError]:
        try:
            if len(chunk) == 1:
                return [await self._upsert_one(chunk[0])]
            answer = await self._call(
                self._contact_calls,
                "POST",
                "/contacts/batch",
                [
                    {"external_id": write.external_id, "key": write.key, "contact": write.fields}
                    for write in chunk
                ],
            )
        except (CrmNever, CrmMissing) as error:
            if len(chunk) == 1:
                return [error]
            # One of them may be to blame for all: ask for each alone.
            answers = await asyncio.gather(*(self._upsert_chunk([write]) for write in chunk))
            return [answer for single in answers for answer in single]
        except CrmError as error:
            return [error] * len(chunk)
        return [_item_answer(item) for item in answer["results"]]

    async def _upsert_one(self, write: ContactWrite) -> str:
        answer = await self._call(
            self._contact_calls,
            "PUT",
            f"/contacts/{quote(write.external_id, safe='')}",
            write.fields,
            write.key,
        )
        return str(answer["id"])

    async def add_note(self, external_id: str, note: Note) -> None:
        await self._call(
            self._note_calls,
            "POST",
            f"/contacts/{quote(external_id, safe='')}/notes",
            {"note_id": note.note_id, "text": note.text, "at": note.at.isoformat()},
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def _call(
        self, room: asyncio.Semaphore, method: str, path: str, body: Any, key: str | None = None
    ) -> Any:
        call = f"{method} of a {'note' if path.endswith('/notes') else 'contact'}"
        headers = {"Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        async with room:
            try:
                answer = await self._client.request(method, path, content=content, headers=headers)
            except httpx.TransportError as error:
                raise CrmUnavailable(f"{call}: {type(error).__name__}") from error
        if answer.status_code >= 300:
            raise refusal(answer.status_code, call, _seconds(answer.headers.get("Retry-After")))
        try:
            return answer.json()
        except ValueError:
            raise CrmUnavailable(f"{call}: the answer is not JSON") from None


def _item_answer(item: dict[str, Any]) -> str | CrmError:
    if item["status"] == 200:
        return str(item["id"])
    return refusal(item["status"], "POST of a contact", item.get("retry_after_seconds", 0))


def _seconds(retry_after: str | None) -> float:
    # The sandbox writes seconds; a date (RFC 9110, 10.2.3) would need a clock.
    return float(retry_after) if retry_after and retry_after.isdigit() else 0.0

"""The CRM of the sandbox (`sandbox/README.md`): batches of contacts, notes and tasks one by one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx

from crm_sync.crm.base import (
    ContactWrite,
    CrmError,
    CrmMissing,
    CrmNever,
    CrmSignIn,
    CrmUnavailable,
    Kept,
)
from crm_sync.crm.guarded import answers, answers_in_batches, reading
from crm_sync.crm.http import (
    AS_IT_IS,
    Gate,
    answered,
    id_in,
    is_object,
    open_gate,
    refusal,
    retry_after,
)
from crm_sync.model import BOTH_WAYS, Note, Task
from crm_sync.together import together

BATCH = 100
CALLS_AT_ONCE = 4


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
        gate: Gate = open_gate,
    ) -> None:
        self._gate = gate
        self._timeout = timeout_seconds
        # The address is given in full: proxies of the environment are not meant for it.
        self._client = httpx.AsyncClient(
            base_url=url,
            timeout=timeout_seconds,
            headers=AS_IT_IS,
            transport=transport,
            trust_env=False,
            limits=httpx.Limits(max_connections=2 * CALLS_AT_ONCE),
        )
        self._contact_calls = asyncio.Semaphore(CALLS_AT_ONCE)
        self._note_calls = asyncio.Semaphore(CALLS_AT_ONCE)

    async def upsert(self, writes: Sequence[ContactWrite]) -> list[str | CrmError]:
        return await answers_in_batches(writes, BATCH, self._upsert_chunk)

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
            return await answers(map(self._upsert_one, chunk))
        except CrmError as error:
            return [error] * len(chunk)
        return [_item_answer(item) for item in answer["results"]]

    async def _upsert_one(self, write: ContactWrite) -> str:
        answer = await self._call(
            self._contact_calls,
            "PUT",
            _path(write.external_id),
            write.fields,
            write.key,
        )
        return id_in(answer, "upsert")

    async def add_note(self, external_id: str, note: Note) -> None:
        await self._call(
            self._note_calls,
            "POST",
            f"{_path(external_id)}/notes",
            {"note_id": note.note_id, "text": note.text, "at": note.at.isoformat()},
        )

    async def add_task(self, external_id: str, task: Task) -> None:
        wanted = {
            "task_id": task.task_id,
            "kind": task.kind,
            "title": task.title,
            "text": task.text,
            "at": task.at.isoformat(),
            "owner": task.owner,
        }
        await self._call(self._note_calls, "POST", f"{_path(external_id)}/tasks", wanted)

    async def read(self, external_ids: Sequence[str]) -> dict[str, Kept]:
        found = await together(self._read_one(each) for each in external_ids)
        return {name: kept for name, kept in zip(external_ids, found, strict=True) if kept}

    async def _read_one(self, external_id: str) -> Kept | None:
        try:
            answer = await self._call(self._contact_calls, "GET", _path(external_id), None)
        except CrmMissing:
            return None
        contact: Kept = answer["contact"]
        return contact

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
        await self._call(self._contact_calls, "GET", "/counts", None)

    async def prepare(self) -> None:
        await self.canary()

    async def close(self) -> None:
        await self._client.aclose()

    async def _call(
        self, room: asyncio.Semaphore, method: str, path: str, body: Any, key: str | None = None
    ) -> Any:
        last = path.rpartition("/")[2]
        call = f"{method} of a {last[:-1] if last in ('notes', 'tasks') else 'contact'}"
        headers = {"Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        content = None
        if body is not None:
            content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        async with room:
            await self._gate()
            try:
                answer = await answered(
                    self._client,
                    method,
                    path,
                    call,
                    self._timeout,
                    content=content,
                    headers=headers,
                )
            except (httpx.RequestError, TimeoutError) as error:
                raise CrmUnavailable(f"{call}: {type(error).__name__}") from error
        if answer.status_code >= 300:
            reason = f"{call}: HTTP {answer.status_code}"
            if answer.status_code in (400, 404) and not is_object(answer):
                raise CrmSignIn(reason)
            raise refusal(answer.status_code, reason, retry_after(answer))
        try:
            return answer.json()
        except ValueError:
            raise CrmUnavailable(f"{call}: the answer is not JSON") from None


def _path(external_id: str) -> str:
    return f"/contacts/{quote(external_id, safe='')}"


def _item_answer(item: dict[str, Any]) -> str | CrmError:
    try:
        with reading("upsert"):
            if item["status"] == 200:
                return id_in(item, "upsert")
            wait = timedelta(seconds=item.get("retry_after_seconds", 0))
            return refusal(item["status"], f"POST of a contact: HTTP {item['status']}", wait)
    except CrmError as error:
        return error

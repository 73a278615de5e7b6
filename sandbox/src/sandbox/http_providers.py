"""POST /providers/{channel} and /providers/email/batch, and what was accepted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from starlette.types import Receive, Scope, Send

from sandbox.errors import Injected, Refused
from sandbox.exchange import (
    REPLAYED,
    answer,
    answer_nothing,
    idempotency_key,
    page_bounds,
    query,
    read_body,
)
from sandbox.fault_rules import RuleSpec
from sandbox.injection import Injector
from sandbox.mail import read_mail
from sandbox.providers import SMTP, Accepted, recipients
from sandbox.state import State
from sandbox.wire import as_key, as_object, parse, parse_batch, parse_object

MAX_PAGE = 10_000


class ProviderRoutes:
    """The endpoints of the providers and of the list of what they accepted."""

    def __init__(self, state: State, injector: Injector, now: Callable[[], datetime]) -> None:
        self._state = state
        self._injector = injector
        self._now = now
        self._since = now()

    async def send(self, channel: str, scope: Scope, receive: Receive, send: Send) -> None:
        """POST /providers/{channel}: one send."""
        message = parse_object(await read_body(receive))
        key = idempotency_key(scope)
        spec = self._state.faults.pick(channel, recipients(message))
        if spec is not None:
            await self._inject(channel, key, spec)
        entry, replayed = self._state.providers.accept(channel, key, message, self._now())
        self._injector.after(spec)
        # The answer holds only what the entry holds, so a replay is the same bytes.
        await answer(send, {"id": entry.id, "key": key}, headers=REPLAYED if replayed else ())

    async def send_batch(self, scope: Scope, receive: Receive, send: Send) -> None:
        """POST /providers/email/batch: up to 100 sends, each with its own key and result.

        A rule without `match` hits the request as a whole; one with `match` hits items. A
        stalled item holds up the rest, a dropped one leaves the whole request unanswered.
        """
        items = parse_batch(await read_body(receive))
        whole = self._state.faults.pick_batch("email")
        await self._injector.before(whole)
        specs = [whole]
        results = []
        for item in items:
            result, spec = await self._send_item(item, faults=whole is None)
            results.append(result)
            specs.append(spec)
        for spec in specs:
            self._injector.after(spec)
        await answer(send, {"results": results})

    async def _send_item(self, item: Any, faults: bool) -> tuple[dict[str, Any], RuleSpec | None]:
        spec = None
        try:
            message = dict(as_object(item, "an item"))
            key = as_key(message.pop("key", None))
            if faults:
                spec = self._state.faults.pick_item("email", recipients(message))
                await self._inject("email", key, spec)
            entry, replayed = self._state.providers.accept("email", key, message, self._now())
        except Refused as error:
            return item_problem(error), spec
        result: dict[str, Any] = {"status": 200, "id": entry.id, "key": key}
        return {**result, "replayed": True} if replayed else result, spec

    async def _inject(self, channel: str, key: str | None, spec: RuleSpec | None) -> None:
        try:
            await self._injector.before(spec)
        except Injected:
            if key is not None:
                self._state.providers.count_attempt(channel, key)
            raise

    async def list_accepted(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /accepted?channel=&key=&offset=&limit=; nothing older than `since` is known."""
        params = query(scope)
        offset, limit = page_bounds(params, MAX_PAGE)
        channel, key = params.get("channel") or None, params.get("key") or None
        total, entries = self._state.providers.page(channel, key, offset, limit)
        items = [self._view(entry) for entry in entries]
        await answer(send, {"total": total, "since": self._since, "items": items})

    async def count_accepted(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /accepted/counts"""
        await answer(send, self._state.providers.counts())

    async def show_accepted(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /accepted/{id}: the whole send, with the fields of the listing on top."""
        entry = self._state.providers.find(scope["path_params"]["id"])
        whole = read_mail(entry.body) if entry.channel == SMTP else parse(entry.body)
        await answer(send, {**whole, **self._view(entry)})

    async def clear(self, scope: Scope, receive: Receive, send: Send) -> None:
        """DELETE /accepted: sends, CRM and faults."""
        self._state.clear()
        self._since = self._now()
        await answer_nothing(send)

    def _view(self, entry: Accepted) -> dict[str, Any]:
        return {
            "seq": entry.seq,
            "channel": entry.channel,
            "key": entry.key,
            "id": entry.id,
            "to": entry.to,
            "subject": entry.subject,
            "body_sha256": entry.digest.hex(),
            "accepted_at": entry.accepted_at,
            "attempts": self._state.providers.attempts(entry),
        }


def item_problem(error: Refused) -> dict[str, Any]:
    """The result of a batch item that was refused."""
    result: dict[str, Any] = {"status": error.status, "error": error.detail}
    if isinstance(error, Injected) and error.retry_after_seconds is not None:
        result["retry_after_seconds"] = error.retry_after_seconds
    return result

"""What the desk writes down, without a database."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from portal_api.incidents import desk
from portal_api.store import incidents as store

INCIDENT = {
    "incident_id": "i", "tenant_id": "acme", "scope": "channel:acme:sms", "task": "Send a test.",
    "reason": "The key was revoked.", "task_done_at": "yesterday",
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "taken_back"),
    [
        ({"task": "Send a test with the new key."}, True),
        ({"task": "Send a test."}, False),
        ({"reason": "It was stolen."}, False),
    ],
)
async def test_another_task_is_not_done_because_the_one_before_was(
    monkeypatch: pytest.MonkeyPatch, t0: datetime, changes: dict[str, str], taken_back: bool
) -> None:
    undone: list[dict[str, Any]] = []

    async def nothing(*_given: Any) -> None:
        return

    async def set_task(_connection: Any, _incident_id: str, **done: Any) -> None:
        undone.append(done)

    @asynccontextmanager
    async def begin() -> Any:
        yield None

    for name in ("lock", "change", "note"):
        monkeypatch.setattr(store, name, nothing)
    monkeypatch.setattr(store, "set_task", set_task)
    context: Any = SimpleNamespace(
        engine=SimpleNamespace(begin=begin),
        broadcaster=SimpleNamespace(publish=lambda _changes: None),
    )
    await desk.change(context, INCIDENT, changes, by="olga", now=t0)
    assert undone == ([{"done_at": None, "done_by": None, "note": None}] if taken_back else [])

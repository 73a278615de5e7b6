"""A preview is made beside the event loop."""

from __future__ import annotations

import asyncio
import threading

import pytest

from portal_api.api import templates
from portal_api.api.bodies import TemplateBody
from rendering.preview import Preview

BODY = TemplateBody(channel="email", subject="Hi", body="Hi")


async def test_while_previews_are_made_everything_else_goes_on_two_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turned, running, most = threading.Event(), 0, 0
    lock = threading.Lock()

    def slow(body: TemplateBody, values: dict[str, str]) -> Preview:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        assert turned.wait(10), "the event loop stands still"
        with lock:
            running -= 1
        return Preview(parts=None, missing=(), warnings=(), refused=None)

    monkeypatch.setattr(templates, "_rendered", slow)
    asked = [asyncio.create_task(templates._beside(BODY, {})) for _ in range(5)]
    await asyncio.sleep(0)
    turned.set()
    await asyncio.gather(*asked)
    assert most <= 2

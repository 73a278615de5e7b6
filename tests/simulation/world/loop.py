"""An event loop without files and without time: it runs what is ready, until nothing is."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Mapping
from typing import Any


class _NoFiles(selectors.BaseSelector):
    """Nothing ever comes from outside."""

    def __init__(self) -> None:
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = selectors.SelectorKey(fileobj, fileobj, events, data)
        self._keys[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("everything waits, and nothing will ever happen")
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys


class Loop(asyncio.SelectorEventLoop):
    _ready: Any

    def __init__(self) -> None:
        super().__init__(_NoFiles())

    async def settle(self) -> None:
        """Let everybody go on who can."""
        while self._ready:  # noqa: ASYNC110 - that is what this loop can tell
            await asyncio.sleep(0)

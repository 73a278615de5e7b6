"""An event loop without files and without time: it runs what is ready, until nothing is."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Mapping
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
    """Its time is whatever `clock` says; what is for another thread is done at once."""

    _ready: Any
    clock: Callable[[], float] = staticmethod(lambda: 0.0)

    def __init__(self) -> None:
        super().__init__(_NoFiles())

    def time(self) -> float:
        return self.clock()

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        done = self.create_future()
        done.set_result(func(*args))
        return done

    async def settle(self) -> None:
        """Let everybody go on who can."""
        await asyncio.sleep(0)
        while self._ready:  # noqa: ASYNC110 - that is what this loop can tell
            await asyncio.sleep(0)

"""One sandbox without a socket: its state, its injector and a client over ASGI."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

import httpx
import pytest

from sandbox.http import Application
from sandbox.injection import Injector
from sandbox.smtp import Sink
from sandbox.state import State

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _state() -> State:
    runs = count(1)
    return State(1000, lambda: f"run{next(runs)}")


@dataclass
class Bench:
    state: State = field(default_factory=_state)
    injector: Injector = field(default_factory=Injector)

    def client(self) -> httpx.AsyncClient:
        app = Application(self.state, self.injector, lambda: NOW)
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://sandbox.test"
        )

    def sink(self) -> Sink:
        return Sink(self.state, self.injector, lambda: NOW)


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
async def client(bench: Bench) -> AsyncIterator[httpx.AsyncClient]:
    async with bench.client() as client:
        yield client


@pytest.fixture
def sink(bench: Bench) -> Sink:
    return bench.sink()

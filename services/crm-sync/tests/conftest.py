"""Records and items of one lead, as short as a test wants them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from crm_sync.decide import item_of
from crm_sync.model import Item, Origin
from leadflow.records import (
    LeadCreated,
    LeadQualified,
    LeadRecord,
    LeadUpdated,
    MessageRecorded,
    MessageSent,
    StageChanged,
    SummaryReviewed,
)

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


class Records:
    """Makes records of `lead_id`; event ids are `e1`, `e2`, … unless given."""

    def __init__(self) -> None:
        self.now = NOW
        self._made = 0

    def _common(self, more: dict[str, Any]) -> dict[str, Any]:
        self._made += 1
        common = {
            "event_id": f"e{self._made}",
            "tenant_id": "acme",
            "occurred_at": NOW,
            "recorded_at": NOW,
            "source": "web-form",
            "lead_id": "lead-1",
        }
        return {**common, **more}

    def _profile(self, revision: int, more: dict[str, Any]) -> dict[str, Any]:
        profile = {
            "cause_id": "raw-1",
            "revision": revision,
            "external_id": "17",
            "status": "active",
            "urgency": "normal",
            "timezone": "UTC",
            "timezone_from": "utc",
            "stage": "new",
            "received": '{"secret":"payload"}',
            "extra": "{}",
        }
        return self._common({**profile, **more})

    def created(self, revision: int = 1, **more: Any) -> LeadCreated:
        return LeadCreated(**self._profile(revision, more))

    def updated(self, revision: int, **more: Any) -> LeadUpdated:
        return LeadUpdated(**self._profile(revision, more))

    def stage(self, revision: int, to_stage: str, **more: Any) -> StageChanged:
        stage = {
            "cause_id": "raw-1",
            "revision": revision,
            "from_stage": "new",
            "to_stage": to_stage,
        }
        return StageChanged(**self._common({**stage, **more}))

    def qualified(self, temperature: str = "hot", **more: Any) -> LeadQualified:
        qualification = {
            "cause_id": "raw-1",
            "fit": 70,
            "intent": 80,
            "temperature": temperature,
            "next_action": "call",
            "decided_by": "rules",
        }
        return LeadQualified(**self._common({**qualification, **more}))

    def sent(self, message_id: str, accepted_at: datetime = NOW, **more: Any) -> MessageSent:
        message = {
            "message_id": message_id,
            "channel": "email",
            "provider": "sandbox",
            "body_hash": "0",
            "accepted_at": accepted_at,
            "epoch": 1,
        }
        return MessageSent(**self._common({**message, **more}))

    def recorded(self, channel: str, **more: Any) -> MessageRecorded:
        message = {
            "message_id": "m-1",
            "channel": channel,
            "body_hash": "0",
            "subject": "Call Ada",
            "body": "About the roof",
        }
        return MessageRecorded(**self._common({**message, **more}))

    def reviewed(self, decision: str, words: str | None, **more: Any) -> SummaryReviewed:
        review = {
            "summary_id": "s-1",
            "project_id": "p",
            "decision": decision,
            "text": words,
            "text_hash": hashlib.sha256((words or "").encode()).hexdigest(),
            "reviewer": "rita",
        }
        return SummaryReviewed(**self._common({**review, **more}))


@pytest.fixture
def records() -> Records:
    return Records()


@pytest.fixture
def item() -> Callable[[LeadRecord], Item]:
    def of(record: LeadRecord) -> Item:
        made = item_of(record, Origin("lead-events", 3, 40))
        assert made is not None
        return made

    return of


class Recorded:
    """Plays the answers of recorded examples, in order; keeps what was asked.

    An example is named after the page of the provider's documentation that it follows.
    """

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self._answers: list[httpx.Response | Exception] = []

    def example(self, name: str) -> dict[str, Any]:
        path = Path(__file__).parent / "examples" / f"{name}.json"
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def answer(self, *names: str | Exception) -> None:
        """What comes next: answers of examples, or errors of the network."""
        for name in names:
            if isinstance(name, Exception):
                self._answers.append(name)
                continue
            recorded = self.example(name)["response"]
            self.respond(recorded["status"], recorded["body"], recorded["headers"])

    def respond(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        """An answer that comes next, without an example."""
        content = b"" if body is None else json.dumps(body).encode()
        self._answers.append(httpx.Response(status, headers=headers, content=content))

    def asked(self) -> list[str]:
        return [f"{request.method} {request.url.path}" for request in self.requests]

    def body(self, index: int) -> Any:
        return json.loads(self.requests[index].content)

    def assert_is(self, index: int, name: str) -> None:
        """The request is the one of the example."""
        request, wanted = self.requests[index], self.example(name)["request"]
        assert (request.method, request.url.path) == (wanted["method"], wanted["path"])
        if "body" in wanted:
            assert self.body(index) == wanted["body"]
        if "params" in wanted:
            assert dict(request.url.params) == wanted["params"]

    @property
    def transport(self) -> httpx.MockTransport:
        def handle(request: httpx.Request) -> httpx.Response:
            self.requests.append(request)
            answer = self._answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return httpx.MockTransport(handle)


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()

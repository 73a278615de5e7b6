"""E-mail over an HTTP API that takes many messages in one call, each with a key of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import httpx

from dispatcher.model import Answer
from dispatcher.providers.base import Around, NoAnswer, Outbound, Provider
from dispatcher.providers.http import accepted, as_object, http_client, refusal
from dispatcher.providers.http_api import DEFAULT_URL, HttpApi
from leadflow.settings import Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailApiAccount:
    """The API at LEADFLOW_PROVIDERS_URL/email."""

    url: str

    @classmethod
    def read(cls, env: Environment, channel: str) -> Self:
        """Raises SettingError."""
        return cls(url=f"{env.url('PROVIDERS_URL', DEFAULT_URL)}/{channel}")

    def open(self, around: Around) -> Provider:
        timeout = around.timeout_seconds
        return EmailApi(self.url, http_client(timeout), timeout)


class EmailApi(HttpApi):
    """Batches of up to 100 in one POST to {url}/batch, each message with its own key and answer."""

    batch = 100

    def __init__(self, url: str, client: httpx.AsyncClient, timeout_seconds: float) -> None:
        super().__init__("email-api", url, client, timeout_seconds)

    async def send(self, messages: Sequence[Outbound]) -> Sequence[Answer]:
        if len(messages) == 1:
            return await super().send(messages)
        response = await self.post(f"{self.url}/batch", batch_body(messages))
        results: Any = as_object(response).get("results")
        if not isinstance(results, list) or len(results) != len(messages):
            raise NoAnswer(f"{self.name}: the answer does not name every message")
        return [self._read(result) for result in results]

    def _read(self, result: Any) -> Answer:
        status = result.get("status") if isinstance(result, dict) else None
        if not isinstance(status, int):
            return NoAnswer(f"{self.name}: a result without a status").refused()
        if 200 <= status < 300:
            return accepted(result.get("id"), json.dumps(result))
        wait = result.get("retry_after_seconds")
        return refusal(
            self.name, status, float(wait) if isinstance(wait, (int, float)) else None
        ).refused()


def batch_body(messages: Sequence[Outbound]) -> bytes:
    """A JSON list of the payloads as kept, each with its key put in front."""
    return b"[%s]" % b",".join(
        b'{"key":%s,%s' % (json.dumps(message.message_id).encode(), message.content.payload[1:])
        for message in messages
    )

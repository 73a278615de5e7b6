"""Any HTTP API with `Idempotency-Key` that takes a send as it is kept: SMS and WhatsApp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import httpx

from dispatcher.model import Answer
from dispatcher.providers.base import KEY_SECONDS, Around, Outbound, Provider
from dispatcher.providers.http import (
    Caller,
    accepted,
    as_object,
    http_client,
    refusal,
    retry_after,
)
from leadflow.settings import Environment

DEFAULT_URL = "http://127.0.0.1:8081/providers"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpApiAccount:
    """The API of one channel, at LEADFLOW_PROVIDERS_URL/{channel}."""

    name: str
    url: str

    @classmethod
    def read(cls, env: Environment, channel: str) -> Self:
        """Raises SettingError."""
        return cls(name=f"{channel}-api", url=f"{env.url('PROVIDERS_URL', DEFAULT_URL)}/{channel}")

    def open(self, around: Around) -> Provider:
        timeout = around.timeout_seconds
        return HttpApi(self.name, self.url, http_client(timeout), timeout)


class HttpApi:
    """POST {url} with the payload as kept, one message a call."""

    keyed = True
    key_seconds = KEY_SECONDS
    batch = 1
    at_once = 16

    def __init__(
        self, name: str, url: str, client: httpx.AsyncClient, timeout_seconds: float
    ) -> None:
        self.name = name
        self.url = url
        self._caller = Caller(name, client, timeout_seconds)

    async def send(self, messages: Sequence[Outbound]) -> Sequence[Answer]:
        (message,) = messages
        response = await self.post(
            self.url, message.content.payload, {"Idempotency-Key": message.message_id}
        )
        return [accepted(as_object(response).get("id"), response.text)]

    async def post(
        self, url: str, body: bytes, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """The answer if it is a 2xx. Raises ProviderError."""
        response = await self._caller.post(url, body, headers)
        if not response.is_success:
            raise refusal(self.name, response.status_code, retry_after(response))
        return response

    async def close(self) -> None:
        await self._caller.close()

"""SMS and WhatsApp over Twilio (https://www.twilio.com/docs/messaging/api/message-resource).

Twilio knows no idempotency keys: whatever is not a clear no leaves a doubt, and a doubt is never
sent again. The message's id is in the address that Twilio reports to, so that a report can
settle a doubt whose message id at Twilio we never heard.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self
from urllib.parse import quote, urlencode

import httpx

from dispatcher.model import Answer
from dispatcher.providers.base import (
    Around,
    BadAddress,
    Broken,
    Busy,
    OptedOut,
    Outbound,
    OutsideWindow,
    Provider,
    ProviderError,
    SenderRefused,
    Unauthorized,
    busy,
)
from dispatcher.providers.http import (
    Caller,
    accepted,
    as_object,
    http_client,
    refusal,
    retry_after,
)
from leadflow.errors import SettingError
from leadflow.settings import Environment

ACCOUNT = re.compile(r"AC[0-9a-f]{32}")
SENDER = re.compile(r"\+[1-9][0-9]{5,14}|MG[0-9a-f]{32}|[0-9]{3,8}|[A-Za-z0-9 ]{1,11}")
WHATSAPP = "whatsapp"
OFF = "off"
KEPT = ("sid", "status", "num_segments", "date_created")
NOT_SENT = frozenset({"failed", "undelivered", "canceled"})

# https://www.twilio.com/docs/api/errors. A code that is not here is told by its status.
ERRORS: Mapping[int, type[ProviderError]] = MappingProxyType(
    {
        21211: BadAddress,  # not a phone number
        21614: BadAddress,  # not a mobile number
        63003: BadAddress,  # WhatsApp does not know the address
        63024: BadAddress,  # nor this recipient
        21610: OptedOut,  # they have sent STOP
        63016: OutsideWindow,  # WhatsApp: free text, and they have not written for a day
        20429: Busy,  # too many requests
        14107: Busy,  # too many messages
        21611: Busy,  # the sender's queue is full
        63018: Busy,  # WhatsApp's own limit
        20003: Unauthorized,  # wrong credentials
        20005: Unauthorized,  # the account is not active
        # Told by number and recipient, not by account: others may pass.
        21212: SenderRefused,  # `From` is not a phone number
        21408: SenderRefused,  # nothing may be sent to this region
        21603: SenderRefused,  # there is no `From`
        21606: SenderRefused,  # it is not ours, or cannot send there
        21609: SenderRefused,  # the address to report to is none
        21659: SenderRefused,  # `From` is not ours, or of another country
        21660: SenderRefused,  # it is another account's
        63007: SenderRefused,  # WhatsApp does not know the sender
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TwilioAccount:
    """An account, and who sends: a number, a name or a Messaging Service's SID.

    `key_sid` is the account's SID or that of an API key, `secret` what goes with it.
    `report_to`, without its slash, is where Twilio says what became of messages; empty: nowhere.
    """

    channel: str
    url: str
    account_sid: str
    key_sid: str
    secret: str = field(repr=False)
    sender: str
    report_to: str

    @classmethod
    def read(cls, env: Environment, channel: str) -> Self:
        """Raises SettingError."""
        sid = env.text("TWILIO_ACCOUNT_SID")
        if ACCOUNT.fullmatch(sid) is None:
            raise SettingError("LEADFLOW_TWILIO_ACCOUNT_SID takes AC and 32 hexadecimal digits")
        name = f"TWILIO_{channel.upper()}_FROM"
        sender = env.text(name)
        if SENDER.fullmatch(sender) is None:
            raise SettingError(f"LEADFLOW_{name} takes a number such as +15551234567, or MG…")
        portal = env.url("PUBLIC_URL", "http://127.0.0.1:8080")
        report_to = env.text("TWILIO_STATUS_CALLBACK", f"{portal}/webhooks/providers/twilio")
        return cls(
            channel=channel,
            url=env.url("TWILIO_URL", "https://api.twilio.com"),
            account_sid=sid,
            key_sid=env.text("TWILIO_API_KEY_SID", sid),
            secret=env.text("TWILIO_AUTH_TOKEN"),
            sender=sender,
            report_to="" if report_to == OFF else report_to.rstrip("/"),
        )

    def open(self, around: Around) -> Provider:
        return Twilio(self, http_client(around.timeout_seconds), around.timeout_seconds)


class Twilio:
    """POST Messages.json, one message a call."""

    keyed = False
    key_seconds = 0.0
    batch = 1
    at_once = 8

    def __init__(
        self, account: TwilioAccount, client: httpx.AsyncClient, timeout_seconds: float
    ) -> None:
        self.name = f"twilio-{account.channel}"
        self._account = account
        self._url = f"{account.url}/2010-04-01/Accounts/{account.account_sid}/Messages.json"
        signed = b64encode(f"{account.key_sid}:{account.secret}".encode()).decode()
        self._headers = {
            "Authorization": f"Basic {signed}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        self._caller = Caller(self.name, client, timeout_seconds)

    async def send(self, messages: Sequence[Outbound]) -> Sequence[Answer]:
        (message,) = messages
        form = form_of(self._account, message)
        response = await self._caller.post(self._url, urlencode(form).encode(), self._headers)
        read = as_object(response)
        if not response.is_success:
            raise self._refusal(response, read.get("code"))
        if read.get("status") in NOT_SENT:
            raise self._refusal(response, read.get("error_code"))
        # Not all of it: it repeats whom the message is for, and what it says.
        kept = {name: read.get(name) for name in KEPT}
        return [accepted(kept["sid"], json.dumps(kept))]

    async def close(self) -> None:
        await self._caller.close()

    def _refusal(self, response: httpx.Response, code: Any) -> ProviderError:
        status, wait = response.status_code, retry_after(response)
        known = ERRORS.get(code) if isinstance(code, int) else None
        if known is Busy:
            return busy(f"{self.name} answered {status} {code}", wait)
        if known is not None:
            return known(f"{self.name} answered {status} {code}", wait)
        if status in (408, 503):
            # Without a key nobody could tell it from one that was taken before something broke.
            return Broken(f"{self.name} answered {status}", wait)
        return refusal(self.name, 400 if response.is_success else status, wait, str(code or ""))


def form_of(account: TwilioAccount, message: Outbound) -> dict[str, str]:
    """The fields of a message resource that is to be made."""
    send = message.content.send()
    prefix = "whatsapp:" if account.channel == WHATSAPP else ""
    form = {"To": f"{prefix}{send['to']}", "Body": send["text"]}
    if account.sender.startswith("MG"):
        form["MessagingServiceSid"] = account.sender
    else:
        form["From"] = f"{prefix}{account.sender}"
    if account.report_to:
        tenant = quote(message.tenant_id, safe="")
        asked = urlencode({"message_id": message.message_id})
        form["StatusCallback"] = f"{account.report_to}/{tenant}?{asked}"
    return form

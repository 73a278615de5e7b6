"""POST /twilio/2010-04-01/Accounts/{sid}/Messages.json, as Twilio's API has it.

https://www.twilio.com/docs/messaging/api/message-resource; the numbers that are refused are
those of https://www.twilio.com/docs/iam/test-credentials. Twilio knows no idempotency: every
request that is taken is a message.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from datetime import datetime
from email.utils import format_datetime
from urllib.parse import parse_qs, urlsplit

from starlette.types import Receive, Scope, Send

from sandbox.errors import Injected, Shaped
from sandbox.exchange import answer, header, read_body
from sandbox.injection import Injector
from sandbox.providers import Accepted
from sandbox.state import State

ACCOUNT_SID = "AC" + "0" * 32
AUTH_TOKEN = "sandbox"  # noqa: S105 - everybody's
MAX_BODY_CHARS = 1_600
ADDRESS = re.compile(r"(?:whatsapp:)?\+[1-9][0-9]{5,14}")
SERVICE = re.compile(r"MG[0-9a-f]{32}")
TO_REFUSED = {
    "+15005550001": (21211, "The 'To' number is not a valid phone number."),
    "+15005550002": (21612, "The 'To' phone number is not currently reachable."),
    "+15005550003": (21408, "Permission to send an SMS has not been enabled for the region."),
    "+15005550004": (21610, "Attempt to send to unsubscribed recipient"),
    "+15005550009": (21614, "'To' number is not a valid mobile number"),
}
FROM_REFUSED = {
    "+15005550001": (21212, "The 'From' number is not a valid phone number."),
    "+15005550007": (21606, "The 'From' phone number is not a valid, SMS-capable number."),
    "+15005550008": (21611, "This 'From' number has exceeded the maximum number of queued"),
}
# Ours, there is no published one: the person last wrote longer ago than a day.
OUTSIDE_WINDOW = "whatsapp:+15005550016"


def error(status: int, code: int, message: str, headers: dict[str, str] | None = None) -> Shaped:
    """An error of https://www.twilio.com/docs/usage/twilios-response."""
    body = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return Shaped(status, body, headers)


class TwilioRoutes:
    """The endpoint that sends SMS and WhatsApp messages."""

    def __init__(self, state: State, injector: Injector, now: Callable[[], datetime]) -> None:
        self._state = state
        self._injector = injector
        self._now = now

    async def send(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One message, form-encoded; 201 with the message resource."""
        sid = scope["path_params"]["sid"]
        signed = b64encode(f"{ACCOUNT_SID}:{AUTH_TOKEN}".encode()).decode()
        if sid != ACCOUNT_SID or header(scope, b"authorization") != f"Basic {signed}":
            raise error(401, 20003, "Authenticate")
        fields = parse_qs((await read_body(receive)).decode("utf-8", "replace"))
        form = {name: values[-1] for name, values in fields.items()}
        key = own_key(form)
        if key is not None:
            self._state.providers.count_attempt("twilio", key)
        check(form)
        to, now = form["To"], self._now()
        spec = self._state.faults.pick("twilio", [to])
        try:
            await self._injector.before(spec)
        except Injected as fault:
            raise injected(fault) from fault
        send_as_json = {"to": to, "text": form["Body"], "form": form}
        entry = self._state.providers.record("twilio", key, to, None, send_as_json, now)
        self._injector.after(spec)
        message_sid = sid_of(entry)
        await answer(
            send,
            {
                "sid": message_sid,
                "account_sid": ACCOUNT_SID,
                "messaging_service_sid": form.get("MessagingServiceSid"),
                "from": form.get("From"),
                "to": to,
                "body": form["Body"],
                "status": "accepted" if "MessagingServiceSid" in form else "queued",
                "direction": "outbound-api",
                "api_version": "2010-04-01",
                "num_segments": "1",
                "num_media": "0",
                "error_code": None,
                "error_message": None,
                "date_created": format_datetime(now),
                "date_sent": None,
                "price": None,
                "price_unit": "USD",
                "uri": f"/2010-04-01/Accounts/{sid}/Messages/{message_sid}.json",
            },
            status=201,
        )


def sid_of(entry: Accepted) -> str:
    """The id that Twilio gives a message."""
    return f"SM{entry.digest.hex()[:16]}{entry.seq:016x}"


def check(form: dict[str, str]) -> None:
    """Raises Shaped for what Twilio refuses before it takes a message."""
    to, sender, service = form.get("To"), form.get("From"), form.get("MessagingServiceSid")
    if to is None:
        raise error(400, 21604, "A 'To' phone number is required.")
    if sender is None and (service is None or not SERVICE.fullmatch(service)):
        raise error(400, 21603, "A 'From' phone number is required.")
    if "Body" not in form:
        raise error(400, 21602, "Message body is required.")
    if len(form["Body"]) > MAX_BODY_CHARS:
        raise error(400, 21617, "The concatenated message body exceeds the 1600 character limit.")
    if not ADDRESS.fullmatch(to):
        raise error(400, *TO_REFUSED["+15005550001"])
    if sender is not None and sender.startswith("whatsapp:") != to.startswith("whatsapp:"):
        raise error(400, 63007, "Twilio could not find a Channel with the specified From address")
    for number, refused in ((sender, FROM_REFUSED), (to, TO_REFUSED)):
        found = refused.get((number or "").removeprefix("whatsapp:"))
        if found is not None:
            raise error(400, *found)
    if to == OUTSIDE_WINDOW:
        raise error(400, 63016, "Failed to send freeform message outside the allowed window.")


def own_key(form: dict[str, str]) -> str | None:
    """By what an entry is told from others: the id that the sender put into its callback's URL."""
    asked = parse_qs(urlsplit(form.get("StatusCallback", "")).query)
    return asked.get("message_id", [None])[-1]


def injected(fault: Injected) -> Shaped:
    """A fault rule's refusal as Twilio would word it."""
    later = fault.retry_after_seconds
    headers = {} if later is None else {"retry-after": str(later)}
    if fault.status == 429:
        return error(429, 20429, "Too Many Requests", headers)
    if fault.status == 422:
        return error(400, 21610, TO_REFUSED["+15005550004"][1])
    return error(fault.status, 20500 if fault.status >= 500 else 20001, fault.detail, headers)

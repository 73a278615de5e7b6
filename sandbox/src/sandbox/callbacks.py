"""What a provider would report about a send that it accepted, signed as that provider signs.

Resend: https://resend.com/docs/webhooks/event-types, signed by Svix. Twilio:
https://www.twilio.com/docs/usage/security#validating-requests. The sandbox's own APIs, SMTP and
the webhook report by Standard Webhooks. Written from the providers' pages, not from who reads it.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from binascii import Error as BadBase64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from sandbox.errors import Malformed
from sandbox.http_twilio import sid_of
from sandbox.providers import Accepted
from sandbox.wire import as_object, as_text, parse, render

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Report:
    """A POST that is ready to go."""

    url: str
    body: bytes
    headers: Mapping[str, str]


def report_on(entry: Accepted, asked: Mapping[str, Any], event_id: str, now: datetime) -> Report:
    """The report of `asked["event"]` about a send, signed with `asked["secret"]`.

    `event` in the provider's own words (Resend: bounced; Twilio: undelivered), `details` what
    stands beside it there, `url` where to; Twilio knows that from the send. Raises Malformed.
    """
    event = as_text(asked.get("event"), "`event`")
    secret = as_text(asked.get("secret"), "`secret`")
    details = as_object(asked.get("details", {}), "`details`")
    url = asked.get("url")
    if entry.channel == "twilio":
        form = parse(entry.body)["form"]
        url = as_text(url or form.get("StatusCallback"), "`url`")
        told = {"MessageSid": sid_of(entry), "MessageStatus": event, "To": form["To"]}
        return _twilio(url, {**told, **{name: str(each) for name, each in details.items()}}, secret)
    if entry.channel == "resend":
        email = parse(entry.body)
        tags = {tag["name"]: tag["value"] for tag in email.get("tags") or ()}
        data = {"email_id": entry.id, "to": email["to"], "tags": tags, **details}
        told = {"type": f"email.{event}", "created_at": now.isoformat(), "data": data}
        return standard("svix", as_text(url, "`url`"), told, secret, event_id, now)
    named = {"message_id": entry.key} if entry.key else {"provider_id": entry.id}
    told = {"type": event, "timestamp": now.isoformat(), "data": {**named, **details}}
    return standard("webhook", as_text(url, "`url`"), told, secret, event_id, now)


def _twilio(url: str, form: Mapping[str, str], token: str) -> Report:
    signed = url + "".join(name + value for name, value in sorted(form.items()))
    signature = b64encode(hmac.digest(token.encode(), signed.encode(), hashlib.sha1)).decode()
    headers = {"Content-Type": FORM, "X-Twilio-Signature": signature}
    return Report(url, urlencode(form).encode(), headers)


def standard(
    name: str, url: str, told: Mapping[str, Any], secret: str, event_id: str, now: datetime
) -> Report:
    """Signed by Standard Webhooks, headers beginning with `name`. Raises Malformed."""
    try:
        key = b64decode(secret.removeprefix("whsec_"), validate=True)
    except BadBase64:
        raise Malformed("`secret` must be like whsec_ and base64") from None
    body, timestamp = render(told), str(int(now.timestamp()))
    signed = b"%s.%s.%s" % (event_id.encode(), timestamp.encode(), body)
    signature = "v1," + b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    headers = {
        "Content-Type": "application/json",
        f"{name}-id": event_id,
        f"{name}-timestamp": timestamp,
        f"{name}-signature": signature,
    }
    return Report(url, body, headers)

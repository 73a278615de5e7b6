"""Signatures of webhooks. Pure; every comparison takes the same time, whatever it finds.

Twilio: https://www.twilio.com/docs/usage/security#validating-requests. Standard Webhooks:
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md;
Resend's (made by Svix) are the same with other names of the headers. HubSpot, version 3:
https://developers.hubspot.com/docs/api/webhooks/validating-requests. Follow Up Boss:
https://docs.followupboss.com/reference/webhooks-guide.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit, urlunsplit

# "Standard Webhooks", verification: how far a timestamp may be from our clock, either way.
REPLAY_WINDOW = timedelta(minutes=5)
# While a secret is replaced there are two signatures; more than so many are not looked at.
MOST_SIGNATURES = 10
HEADER_NAMES = ("webhook", "svix")
STANDARD_SIGNATURES = tuple(f"{name}-signature" for name in HEADER_NAMES)
TWILIO_SIGNATURE = "x-twilio-signature"
HUBSPOT_SIGNATURE = "x-hubspot-signature-v3"
HUBSPOT_TIMESTAMP = "x-hubspot-request-timestamp"
FOLLOW_UP_BOSS_SIGNATURE = "fub-signature"
SECRET_PREFIX = "whsec_"  # noqa: S105
LONGEST_ID = 256
# What HubSpot decodes in the URI before it signs it: these twelve characters and no others.
HUBSPOT_DECODES = re.compile("%(3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)", re.IGNORECASE)


def standard_key(secret: str) -> bytes:
    """The key of a `whsec_…` secret, or of one without the prefix. Raises ValueError."""
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    if len(key) < 16:
        raise ValueError("too short")
    return key


def standard_signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """The signature with its version, as a sender writes it."""
    signed = b"%s.%s.%s" % (message_id.encode(), timestamp.encode(), body)
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def standard_id(
    keys: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: datetime
) -> str | None:
    """The id of a webhook that was signed with one of `keys` within the window, else None.

    `headers` in lower case: webhook-id, webhook-timestamp, webhook-signature; or svix-….
    """
    for name in HEADER_NAMES:
        told = [headers.get(f"{name}-{part}", "") for part in ("id", "timestamp", "signature")]
        if all(told):
            message_id, timestamp, signatures = told
            break
    else:
        return None
    given = [each for each in signatures.split() if each.startswith("v1,")][:MOST_SIGNATURES]
    wanted = [standard_signature(key, message_id, timestamp, body) for key in keys]
    matches = sum(_same(one, other) for one in given for other in wanted)
    if not matches or not _is_recent(timestamp, now) or len(message_id) > LONGEST_ID:
        return None
    return message_id


def hubspot_signature(secret: str, method: str, url: str, body: bytes, timestamp: str) -> str:
    """Base64 of the HMAC-SHA256, by the app's client secret, of method, URL, body and timestamp."""
    signed = method.encode() + url.encode() + body + timestamp.encode()
    return base64.b64encode(hmac.digest(secret.encode(), signed, hashlib.sha256)).decode()


def is_from_hubspot(
    secrets: Sequence[str],
    url: str,
    body: bytes,
    *,
    signature: str,
    timestamp: str,
    now: datetime,
) -> bool:
    """Whether one of `secrets` signed this POST to `url`, as it was called from outside.

    `timestamp` in milliseconds. The documentation has the URL signed with some characters decoded,
    HubSpot's own libraries take it as it was called: either holds.
    """
    decoded = HUBSPOT_DECODES.sub(lambda found: chr(int(found[1], 16)), url)
    wanted = [
        hubspot_signature(secret, "POST", each, body, timestamp)
        for secret in secrets
        for each in (decoded, url)
    ]
    matches = sum(_same(signature, each) for each in wanted)
    return matches > 0 and _is_recent(timestamp, now, per_second=1_000)


def follow_up_boss_signature(key: str, body: bytes) -> str:
    """The HMAC-SHA256, by the system's key, of the body in base64; in hexadecimal digits."""
    return hmac.digest(key.encode(), base64.b64encode(body), hashlib.sha256).hex()


def is_from_follow_up_boss(keys: Sequence[str], body: bytes, signature: str) -> bool:
    """Whether one of `keys` signed this body. It has neither a time nor an address: what was sent
    once holds for ever, and for every tenant with the same key."""
    return sum(_same(signature, follow_up_boss_signature(key, body)) for key in keys) > 0


def _is_recent(timestamp: str, now: datetime, per_second: int = 1) -> bool:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 16):
        return False
    return abs(int(timestamp) / per_second - now.timestamp()) <= REPLAY_WINDOW.total_seconds()


def twilio_signature(token: str, url: str, params: Iterable[tuple[str, str]]) -> str:
    """HMAC-SHA1, in base64, of the URL and each parameter with its value, in their order.

    A parameter that comes several times counts once with each of its values.
    """
    signed = url + "".join(name + value for name, value in sorted(set(params)))
    return base64.b64encode(hmac.digest(token.encode(), signed.encode(), hashlib.sha1)).decode()


def is_from_twilio(
    tokens: Sequence[str], url: str, params: Iterable[tuple[str, str]], signature: str
) -> bool:
    """Whether one of `tokens` signed this request to `url`, as it was called from outside.

    Twilio signs some URLs with their port and some without (its libraries try both).
    """
    pairs = list(params)
    wanted = [
        twilio_signature(token, each, pairs) for token in tokens for each in _with_and_without(url)
    ]
    return sum(_same(signature, each) for each in wanted) > 0


def _with_and_without(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = parts.port or (443 if parts.scheme == "https" else 80)
    bare, full = (urlunsplit(parts._replace(netloc=each)) for each in (host, f"{host}:{port}"))
    return bare, full


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())

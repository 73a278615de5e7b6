"""The hash of what a provider is to have accepted, made from what the ledger keeps. Pure."""

from __future__ import annotations

import hashlib
import json
import re

from dispatcher.providers.mime import mime_of

# These take the payload as it is kept.
AS_KEPT_SUFFIX = "-api"
SMTP = "smtp"
# A mail says when it was handed over, which is each time another moment.
DATE = re.compile(rb"^Date: [^\r\n]*\r\n", re.MULTILINE)


def wire_sha256(provider: str | None, body_sha256: str | None, payload: bytes | None) -> str | None:
    """The hash in hex; None where the bytes on the wire cannot be made again from what is kept."""
    if provider is None or body_sha256 is None:
        return None
    if provider.endswith(AS_KEPT_SUFFIX):
        return body_sha256
    if provider == SMTP and payload is not None:
        try:
            return hashlib.sha256(mime_of(json.loads(payload)).content).hexdigest()
        except (ValueError, KeyError):
            return None
    return None


def mail_sha256(raw: bytes) -> str:
    """The hash in hex of a mail as a server took it, but for its date."""
    head, blank, body = raw.partition(b"\r\n\r\n")
    return hashlib.sha256(DATE.sub(b"", head, count=1) + blank + body).hexdigest()

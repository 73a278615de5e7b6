"""A mail as it came over SMTP: its key, its subject, its parts."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from sandbox.errors import Malformed
from sandbox.wire import as_key

_KEY_HEADERS = ("X-Leadflow-Message-Id", "Idempotency-Key")


def read_envelope(raw: bytes) -> tuple[str | None, str | None]:
    """The key and the subject from the headers; Malformed where the key is empty or too long."""
    head = raw.partition(b"\r\n\r\n")[0]
    message = _parse(head)
    key = next((message[name] for name in _KEY_HEADERS if message[name] is not None), None)
    subject = message["Subject"]
    return (
        None if key is None else as_key(str(key).strip()),
        None if subject is None else str(subject),
    )


def read_mail(raw: bytes) -> dict[str, Any]:
    """The mail in the fields of a send: `from`, `headers`, `text`, `html`; and `raw`, all of it."""
    message = _parse(raw)
    return {
        "from": None if message["From"] is None else str(message["From"]),
        "headers": {name: str(value) for name, value in message.items()},
        "text": _part(message, "plain"),
        "html": _part(message, "html"),
        "raw": raw.decode("utf-8", "replace"),
    }


def _parse(raw: bytes) -> EmailMessage:
    message = message_from_bytes(raw, policy=policy.default)
    if not isinstance(message, EmailMessage):
        raise Malformed("the message cannot be read")
    return message


def _part(message: EmailMessage, subtype: str) -> str | None:
    part = message.get_body((subtype,))
    return None if part is None else str(part.get_content())

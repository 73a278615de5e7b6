"""The raw event that a mail becomes: a reply, or what a mail server reports."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog

from leadflow.ids import derived_id
from leadflow.records import RawEvent
from leadflow.tokens import PACKED_CHARS, BadToken, Sealer
from portal_api.inbound.markup import text_of
from portal_api.inbound.mime import LONGEST_FIELD, LONGEST_TEXT, BadMail, Mail, read
from portal_api.inbound.plain import as_text
from portal_api.inbound.reports import Ignored, Report, message_in, report_in

log = structlog.get_logger()

SOURCE = "mail"
PURPOSE = "reply"
# The address that a mail of ours asks to be answered at: dispatcher, threads.py.
REPLY_ADDRESS = re.compile(rf"\breply\+([a-z2-7]{{{PACKED_CHARS}}})@", re.IGNORECASE)
MOST_IDS = 50


def event_in(data: bytes, *, tenant_id: str, links: Sealer, now: datetime) -> RawEvent | Ignored:
    """The raw event of the bytes of a mail; of one at which the parsers fail, a reply that holds it
    as text. Raises BadMail."""
    about: Any = {"tenant_id": tenant_id, "links": links, "now": now}
    try:
        return event_of(read(data), **about)
    except BadMail:
        raise
    except Exception as error:  # the standard library's parsers have many
        log.warning("a mail is taken as text", error=type(error).__name__)
        return event_of(as_text(data), **about)


def event_of(mail: Mail, *, tenant_id: str, links: Sealer, now: datetime) -> RawEvent | Ignored:
    """The raw event of a mail that was received: bounced, delivered, complained, or reply."""
    report = report_in(mail)
    if isinstance(report, Ignored):
        return report
    if isinstance(report, Report):
        return _reported(mail, report, tenant_id, links, now)
    return reply_event(
        tenant_id=tenant_id,
        sender=mail.sender,
        recipients=mail.recipients,
        subject=mail.subject,
        text=mail.text,
        headers=mail.headers,
        mail_id=mail.mail_id,
        in_reply_to=mail.in_reply_to,
        references=mail.references,
        date=mail.date,
        attachments=mail.attachments,
        links=links,
        now=now,
    )


def reply_event(
    *,
    tenant_id: str,
    sender: str | None,
    recipients: Iterable[str],
    subject: str | None,
    text: str | None,
    html: str | None = None,
    headers: Mapping[str, str],
    mail_id: str | None,
    in_reply_to: str | None = None,
    references: str | None = None,
    date: str | None = None,
    attachments: Sequence[Mapping[str, Any]] = (),
    links: Sealer,
    now: datetime,
    source: str = SOURCE,
) -> RawEvent:
    """A raw event of kind `reply` (design.md) made of a mail's parts, from wherever they came.

    The message that it answers is named by the token in the address it was sent to, else by
    In-Reply-To, else by References. The same mail gives the same event id, however often and by
    whichever way it comes; a mail program that uses one Message-ID twice is told by the text, a
    mail that has none by what it says, from whom, and when.
    """
    written = text if text and text.strip() else text_of(html) if html else ""
    written = written[:LONGEST_TEXT]
    message_id = answered(recipients, in_reply_to, references, tenant_id=tenant_id, links=links)
    kept = {name.lower(): value[:LONGEST_FIELD] for name, value in headers.items()}
    when = () if mail_id else ("without an id", subject or "", date or f"{now:%Y-%m-%d}")
    identity = derived_id("mail", tenant_id, mail_id or "", sender or "", _digest(written), *when)
    payload: dict[str, Any] = {
        "channel": "email",
        "message_id": message_id,
        "in_reply_to": in_reply_to,
        "references": _ids(references),
        "from": sender,
        "subject": subject,
        "mail_id": mail_id,
        "text": written,
        "headers": kept,
        "attachments": list(attachments),
    }
    return _raw("reply", identity, payload, tenant_id, source, now)


def completed(payload: Mapping[str, Any], *, tenant_id: str, links: Sealer) -> dict[str, Any]:
    """The payload of a reply that somebody else made of a mail, with what can be told from it: the
    message that it answers, from the addresses in `to`; its text, from `html` where it has none."""
    told = {name: value for name, value in payload.items() if name != "html"}
    to = payload.get("to")
    recipients = [each for each in (to if isinstance(to, list) else [to]) if isinstance(each, str)]
    if not payload.get("message_id"):
        told["message_id"] = answered(recipients, None, None, tenant_id=tenant_id, links=links)
    html = payload.get("html")
    if not payload.get("text") and isinstance(html, str):
        told["text"] = text_of(html)[:LONGEST_TEXT]
    return told


def answered(
    recipients: Iterable[str],
    in_reply_to: str | None,
    references: str | None,
    *,
    tenant_id: str,
    links: Sealer,
) -> str | None:
    """The message that a mail answers. The last of the references is the one it answers."""
    for each in recipients:
        for token in REPLY_ADDRESS.findall(each[:LONGEST_FIELD])[:MOST_IDS]:
            try:
                return links.open_id(PURPOSE, tenant_id, token)
            except BadToken:
                continue
    for given in (*_ids(in_reply_to)[::-1], *_ids(references)[::-1]):
        if (found := message_in(given)) is not None:
            return found
    return None


def _reported(mail: Mail, report: Report, tenant_id: str, links: Sealer, now: datetime) -> RawEvent:
    message_id = report.message_id or answered(
        mail.recipients, mail.in_reply_to, mail.references, tenant_id=tenant_id, links=links
    )
    when = () if mail.mail_id else ("without an id", mail.date or f"{now:%Y-%m-%d}")
    identity = derived_id(
        "mail",
        tenant_id,
        mail.mail_id or "",
        report.kind,
        message_id or "",
        _digest(mail.text),
        *when,
    )
    payload: dict[str, Any] = {
        "message_id": message_id,
        "bounce_type": report.bounce_type,
        "diagnostic": report.diagnostic,
        "status": report.status,
        "recipient": report.recipient,
        "mail_id": mail.mail_id,
        "text": mail.text[:LONGEST_FIELD],
    }
    return _raw(report.kind, identity, payload, tenant_id, SOURCE, now)


def _raw(
    kind: str,
    identity: str,
    payload: Mapping[str, Any],
    tenant_id: str,
    source: str,
    now: datetime,
) -> RawEvent:
    said = {name: value for name, value in payload.items() if value not in (None, [], {}, "")}
    return RawEvent(
        event_id=identity,
        tenant_id=tenant_id,
        occurred_at=now,
        recorded_at=now,
        source=source,
        kind=kind,
        external_id=identity,
        payload=json.dumps(said, ensure_ascii=False, separators=(",", ":"))
        .encode("utf-8", "replace")
        .decode(),
    )


def _ids(given: str | None) -> list[str]:
    return (given or "")[:LONGEST_FIELD].split()[-MOST_IDS:]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()

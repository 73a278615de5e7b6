"""A queued message becomes the bytes that are sent, once, when it enters the ledger."""

from __future__ import annotations

import hashlib
import html
import json
import re
from dataclasses import dataclass
from typing import Any

from dispatcher.model import CHANNELS, RECORDED_CHANNELS, Arrival, Content
from dispatcher.templates import TemplateError, allowed, cleaned, render_line, render_text
from leadflow.errors import RecordRefused
from leadflow.records import MessageQueued

# One mailbox, without the comments and quotes of RFC 5322 that no lead's address needs.
EMAIL = re.compile(r"[^\s@<>(),;:\\\"\[\]]{1,64}@[A-Za-z0-9.-]{1,253}")
PHONE = re.compile(r"\+[1-9][0-9]{5,14}")  # E.164
URL = re.compile(r"https?://[^\s<>\"']+")
# Values of ours that become links; what a lead typed never does.
LINKS = ("unsubscribe_url", "booking_link")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who writes: `public_url` is the portal's address, `mail_domain` that of the senders."""

    public_url: str = "http://127.0.0.1:8080"
    mail_domain: str = "mail.leadflow.example"


def arrive(queued: MessageQueued, identity: Identity) -> Arrival:
    """The ledger's row for a queued message, rendered, or held by the rule that kept it back.

    Raises RecordRefused for a channel that does not exist.
    """
    if queued.channel not in CHANNELS:
        raise RecordRefused("unknown_channel", f"{queued.channel[:40]!r} is not a channel")
    content, held = None, TemplateError("")
    try:
        content = compose(queued, identity)
    except TemplateError as error:
        held = error
    return Arrival(
        message_id=queued.message_id,
        tenant_id=queued.tenant_id,
        lead_id=queued.lead_id,
        owner=queued.owner,
        enrollment_id=queued.enrollment_id,
        sequence_id=queued.sequence_id,
        step_id=queued.step_id,
        channel=queued.channel,
        attempt=queued.attempt,
        first_message_id=queued.first_message_id,
        recipient=cleaned(queued.recipient).strip(),
        compliance_note=cleaned(queued.compliance_note, keep_lines=True),
        enrolled_at=queued.enrolled_at,
        stop_on=queued.stop_on,
        due_at=queued.due_at,
        content=content,
        rule=held.rule or None,
        inputs=held.inputs,
    )


def compose(queued: MessageQueued, identity: Identity) -> Content:
    """The send of a message, rendered. Raises TemplateError."""
    unsubscribe_url = f"{identity.public_url}/unsubscribe/{queued.message_id}"
    values = allowed({**queued.variables, "unsubscribe_url": unsubscribe_url})
    text = render_text(queued.body, values)
    subject = render_line(queued.subject, values)
    return written(
        queued.channel,
        message_id=queued.message_id,
        tenant_id=queued.tenant_id,
        recipient=queued.recipient,
        subject=subject,
        text=text,
        sender_name=values.get("tenant_name", ""),
        links={name: values[name] for name in LINKS if name in values},
        identity=identity,
    )


def written(
    channel: str,
    *,
    message_id: str,
    tenant_id: str,
    recipient: str,
    subject: str,
    text: str,
    sender_name: str,
    links: dict[str, str],
    identity: Identity,
) -> Content:
    """The send made of finished texts. Raises TemplateError where it cannot be addressed."""
    if not text:
        raise TemplateError("template_empty")
    _check(channel, recipient)
    send: dict[str, Any] = {"to": recipient, "text": text}
    if channel == "email":
        if not subject:
            raise TemplateError("template_empty", part="subject")
        local = re.sub(r"[^a-z0-9.-]", "-", tenant_id.lower()).strip(".-")[:60] or "mail"
        address = f"{local}@{identity.mail_domain}"
        name = re.sub(r'[\\"<>@,;:()\[\]]', "", sender_name).strip()[:80]
        send["from"] = f'"{name}" <{address}>' if name else address
        send["subject"] = subject
        send["html"] = html_of(text, links)
        send["headers"] = {
            "Message-ID": f"<{message_id}@{identity.mail_domain}>",
            "List-Unsubscribe": f"<{links['unsubscribe_url']}>",
            "X-Leadflow-Message-Id": message_id,
        }
    elif channel in RECORDED_CHANNELS:
        send["subject"] = subject
    payload = json.dumps(send, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
    return Content(payload=payload, sha256=hashlib.sha256(payload).hexdigest())


def _check(channel: str, recipient: str) -> None:
    wanted = {"email": EMAIL, "sms": PHONE, "whatsapp": PHONE}.get(channel)
    if wanted is not None and wanted.fullmatch(recipient) is None:
        raise TemplateError("recipient_malformed", channel=channel)


def html_of(text: str, links: dict[str, str]) -> str:
    """The text as simple HTML: paragraphs, line breaks, and links where `links` stand in it."""
    ours = {html.escape(link) for link in links.values()}

    def linked(found: re.Match[str]) -> str:
        url = found[0].rstrip(".,;:!?)")
        if url not in ours:
            return found[0]
        return f'<a href="{url}">{url}</a>{found[0][len(url) :]}'

    escaped = URL.sub(linked, html.escape(text))
    paragraphs = (part.strip().replace("\n", "<br>\n") for part in re.split(r"\n{2,}", escaped))
    return "".join(f"<p>{part}</p>\n" for part in paragraphs if part)

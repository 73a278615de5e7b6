"""Twilio's webhooks for SMS and WhatsApp: status callbacks and messages that come in.

https://www.twilio.com/docs/messaging/guides/track-outbound-message-status,
https://www.twilio.com/docs/messaging/guides/webhook-request and, for OptOutType,
https://www.twilio.com/docs/messaging/tutorials/advanced-opt-out. Error codes:
https://www.twilio.com/docs/api/errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from portal_api.webhooks.said import Said, Unreadable, words

WHATSAPP = "whatsapp:"
LONGEST_BODY = 10_000  # Twilio joins the parts of a long SMS; a message has at most 1,600
MOST_MEDIA = 10
# These say that the number is none that could ever be written to. All others may pass, or are
# about the sender or the text, for which nobody's number is to be blamed.
DEAD_NUMBER = frozenset(
    {
        "21211",  # invalid 'To' number
        "21614",  # 'To' is not a mobile number
        "30005",  # unknown destination handset
        "30006",  # landline or unreachable carrier
        "63003",  # the channel could not find the address
        "63024",  # invalid message recipient (WhatsApp)
    }
)
UNSUBSCRIBED = "21610"  # the recipient has sent STOP, and Twilio has kept it
# On their way, or called back by ourselves: nothing to tell. Not a final word.
NO_NEWS = frozenset(
    {"accepted", "scheduled", "queued", "sending", "sent", "canceled", "receiving", "received"}
)
# A read receipt: WhatsApp's, by the person's own program.
READ = "read"


def read(form: Mapping[str, str], now: datetime, message_id: str = "") -> list[Said]:
    """What a request says; empty where it is no news. Raises Unreadable.

    `message_id` is our own, which stood in the address that Twilio was asked to report to: it
    names the message also where Twilio's answer, with its own id, was lost.
    """
    sid = words(form.get("MessageSid") or form.get("SmsSid"), 100)
    if not sid:
        raise Unreadable("there is no MessageSid")
    status = words(form.get("MessageStatus") or form.get("SmsStatus"), 40).lower()
    if "Body" in form and status in ("", "receiving", "received"):
        return [_incoming(sid, form, now)]
    if status in NO_NEWS:
        return []
    return _status(sid, status, form, now, words(message_id, 200))


def _status(
    sid: str, status: str, form: Mapping[str, str], now: datetime, message_id: str
) -> list[Said]:
    # Twilio does not say when it happened.
    about: dict[str, Any] = {"event": f"{sid}:{status}", "external_id": sid, "at": now}
    named = {"provider_id": sid, "message_id": message_id}
    code = words(form.get("ErrorCode"), 20)
    match status:
        case "delivered":
            return [Said(kind="delivered", payload=named, **about)]
        case "read":
            # It was delivered too, whatever becomes of the report of that.
            return [Said(kind="opened", payload=named, **about)]
        case "undelivered" | "failed":
            bounced = Said(
                kind="bounced",
                payload={
                    **named,
                    "bounce_type": "hard" if code in DEAD_NUMBER else "soft",
                    "diagnostic": " ".join(
                        filter(None, (status, code, words(form.get("ErrorMessage"))))
                    ),
                },
                **about,
            )
            address, channel = _address(form.get("To"))
            if code != UNSUBSCRIBED or not address:
                return [bounced]
            payload = {
                "phone": address,
                "channel": channel,
                "evidence": f"Twilio error {code}: the recipient has unsubscribed",
            }
            return [bounced, Said(kind="opt_out", payload=payload, **about)]
        case _:
            raise Unreadable("MessageStatus is none that is known")


def _incoming(sid: str, form: Mapping[str, str], now: datetime) -> Said:
    address, channel = _address(form.get("From"))
    if not address:
        raise Unreadable("there is no From")
    about: dict[str, Any] = {"event": f"{sid}:incoming", "external_id": sid, "at": now}
    text = words(form.get("Body"), LONGEST_BODY)
    # Set where Twilio knows the word, in the words and languages of its Messaging Service, and
    # has answered it. Whoever says stop is left alone on every channel, as with a plain STOP.
    wish = words(form.get("OptOutType"), 20).upper()
    if wish in ("STOP", "START"):
        payload = {"phone": address, "keyword": text[:40], "evidence": f"Twilio: {wish}"}
        if wish == "STOP":
            return Said(kind="opt_out", payload={**payload, "channel": "all"}, **about)
        return Said(kind="opt_in", payload={**payload, "channel": channel}, **about)
    media = [words(form.get(f"MediaUrl{number}")) for number in range(MOST_MEDIA)]
    return Said(
        kind="reply",
        payload={
            "from": address,
            "to": _address(form.get("To"))[0],
            "channel": channel,
            "text": text,
            "media": [each for each in media if each],
            "opt_out_type": wish,
        },
        **about,
    )


def _address(value: str | None) -> tuple[str, str]:
    """(number in E.164, channel) of `+1…` or `whatsapp:+1…`."""
    address = words(value, 100)
    if address.startswith(WHATSAPP):
        return address.removeprefix(WHATSAPP), "whatsapp"
    return address, "sms"

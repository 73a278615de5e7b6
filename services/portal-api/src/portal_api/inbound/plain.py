"""A mail at which the parsers fail, read as the text that it is: nothing that is in it is lost.

Its header fields by their names, unfolded (RFC 5322, 2.2.3) and otherwise as they stand; behind
the blank line its body, with all that was meant for programs.
"""

from __future__ import annotations

import re

from portal_api.inbound.mime import (
    ADDRESSED,
    KEPT,
    LONGEST_FIELD,
    LONGEST_TEXT,
    MOST_FIELDS,
    MOST_NAMED,
    BadMail,
    Mail,
    check,
)

_BLANK = re.compile(r"\r?\n\r?\n")
_FIELD = re.compile(r"([!-9;-~]+)[ \t]*:(.*(?:\r?\n[ \t].*)*)")


def as_text(data: bytes) -> Mail:
    """Raises BadMail."""
    check(data)
    whole = data.decode("utf-8", "replace").replace("\x00", "")
    blank = _BLANK.search(whole)
    header, body = (whole[: blank.start()], whole[blank.end() :]) if blank else (whole, "")
    fields: dict[str, list[str]] = {}
    for count, found in enumerate(_FIELD.finditer(header)):
        if count < MOST_FIELDS:
            value = " ".join(found[2][:LONGEST_FIELD].split())
            fields.setdefault(found[1].lower(), []).append(value)

    def one(name: str) -> str | None:
        return fields.get(name, [""])[0] or None

    sender = one("from") or one("sender")
    if sender is None and one("received") is None:
        raise BadMail("it has neither From nor Sender nor Received: this is no mail")
    return Mail(
        mail_id=one("message-id"),
        in_reply_to=one("in-reply-to"),
        references=one("references"),
        sender=sender,
        recipients=tuple(each for name in ADDRESSED for each in fields.get(name, ())[:MOST_NAMED]),
        subject=one("subject"),
        date=one("date"),
        text=body.replace("\r\n", "\n").strip()[:LONGEST_TEXT],
        headers={name: told for name in KEPT if (told := one(name)) is not None},
    )

"""A send as an Internet message (RFC 5322, RFC 2045 to 2047): the same send, the same bytes.

Written by hand for three reasons. The library folds an address of a web page or a list of
message ids that is longer than a line into encoded words, which no reader of List-Unsubscribe
or References undoes. It writes 8-bit bodies, which not every server on the way takes. And it
takes ten times as long.
"""

from __future__ import annotations

import hashlib
import re
from base64 import encodebytes
from binascii import b2a_qp
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.utils import format_datetime, getaddresses, parseaddr
from typing import Any

LINE = 76
# Where a line of a header has no blank to be folded at, it may be longer, up to this.
HARD_LINE = 998
PLAIN = re.compile(r"[\t\x20-\x7e]*")
# What may go as it is: short lines of ASCII, none of which could be a boundary, or be taken for
# the beginning of a mail by what keeps mails in files.
SEVEN_BIT = re.compile(r"(?:(?!--|From )[\t\x20-\x7e]{0,76}(?<![ \t])(?:\r\n|\Z))*")
BARE_LF = re.compile(rb"(?<!\r)\n")
LINE_ENDS = re.compile(r"\r\n|\r|\n")
# A phrase that needs no quotes (RFC 5322, 3.2.3).
ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
ADDRESS = re.compile(r"[!-;=?-~]+@[!-;=?A-~]+")
FIELD_NAME = re.compile(r"[!-9;-~]{1,76}")
# Ours to write: a second one would make it another mail.
OURS = frozenset(
    {"date", "from", "to", "subject", "mime-version", "content-type", "content-transfer-encoding"}
)
# Only the name in these may be encoded, never the address.
OF_ADDRESSES = frozenset({"reply-to", "sender", "cc"})
# From this share of bytes that are no ASCII, base64 is shorter than quoted-printable.
BASE64_FROM = 1 / 6


@dataclass(frozen=True, slots=True)
class Mail:
    """Envelope and content of a mail; lines end with CRLF."""

    sender: str
    recipient: str
    content: bytes


def mime_of(send: Mapping[str, Any], date: datetime | None = None) -> Mail:
    """The mail of a send: `from`, `to`, `subject`, `text`; `html` and `headers` where it has them.

    All of it is 7-bit, whatever is in it. Raises ValueError for what no mail can carry: an
    address that is not one, or not ASCII; a header with a line break, or that is ours to write.
    """
    name, sender = parseaddr(send["from"])
    recipient: str = send["to"]
    text: str = send["text"]
    html: str | None = send.get("html")
    headers: Mapping[str, str] = send.get("headers") or {}
    head = [
        _mailboxes("From", [(name, sender)]),
        _mailboxes("To", [("", recipient)]),
        _unstructured("Subject", send["subject"]),
    ]
    if date is not None:
        head.append(f"Date: {format_datetime(date)}")
    head.extend(_field(field, value) for field, value in headers.items())
    head.append("MIME-Version: 1.0")
    if html is None:
        body = _part("plain", text)
    else:
        # No part can contain it: "=_" is no quoted-printable, no base64, and no line that goes
        # as it is begins with "--".
        digest = hashlib.sha256(f"{text}\0{html}".encode()).hexdigest()[:32]
        head.append(f'Content-Type: multipart/alternative;\r\n boundary="=_{digest}"')
        mark = b"\r\n--=_" + digest.encode()
        body = b"".join(
            (mark, b"\r\n", _part("plain", text), mark, b"\r\n", _part("html", html), mark, b"--")
        )
        body += b"\r\n"
    return Mail(sender, recipient, "\r\n".join(head).encode("ascii") + b"\r\n" + body)


def _part(subtype: str, text: str) -> bytes:
    """Header fields, a blank line, and the text, its line ends CRLF."""
    text = LINE_ENDS.sub("\r\n", text)
    if SEVEN_BIT.fullmatch(text):
        encoding, data = b"7bit", text.encode("ascii")
    else:
        data = text.encode()
        if (len(data) - len(text)) > BASE64_FROM * len(data):
            encoding, data = b"base64", encodebytes(data).rstrip().replace(b"\n", b"\r\n")
        else:
            # Its soft line breaks are bare where the text has no line of its own (RFC 5321, 2.3.8).
            encoding, data = b"quoted-printable", BARE_LF.sub(b"\r\n", b2a_qp(data))
    return (
        b'Content-Type: text/%s; charset="utf-8"\r\nContent-Transfer-Encoding: %s\r\n\r\n'
        % (subtype.encode(), encoding)
    ) + data


def _field(field: str, value: str) -> str:
    lower = field.lower()
    if FIELD_NAME.fullmatch(field) is None or lower in OURS:
        raise ValueError("a header that a send may not name")
    if LINE_ENDS.search(value):
        raise ValueError("a header of more than one line")
    if lower in OF_ADDRESSES:
        return _mailboxes(field, getaddresses([value]))
    if PLAIN.fullmatch(value):
        return _folded(field, value)
    return _unstructured(field, value)


def _mailboxes(field: str, mailboxes: list[tuple[str, str]]) -> str:
    written = []
    for name, address in mailboxes:
        # RFC 6531 addresses take a server with SMTPUTF8, which not every one on the way is.
        if ADDRESS.fullmatch(address) is None:
            raise ValueError("an address that a mail cannot carry")
        written.append(f"{_phrase(field, name)} <{address}>" if name else address)
    return _folded(field, ", ".join(written))


def _phrase(field: str, name: str) -> str:
    if "=?" in name or PLAIN.fullmatch(name) is None:
        return _encoded(field, name).replace("\r\n", "")  # folded with the address
    if ATOMS.fullmatch(name):
        return name
    escaped = re.sub(r'([\\"])', r"\\\1", name)
    return f'"{escaped}"'


def _unstructured(field: str, value: str) -> str:
    if PLAIN.fullmatch(value) and "=?" not in value and max(map(len, value.split(" "))) < 900:
        return _folded(field, value)
    return f"{field}: {_encoded(field, value)}"


def _encoded(field: str, value: str) -> str:
    """Encoded words, folded (RFC 2047)."""
    if re.search(r"[\r\n\0]", value):
        raise ValueError("a header of more than one line")
    return Header(value, "utf-8", LINE, field).encode(linesep="\r\n")


def _folded(field: str, value: str) -> str:
    """Folded before blanks alone: nothing in it changes but where its lines end."""
    lines, line = [], f"{field}:"
    for word in re.findall(r"\s*\S+", f" {value.strip()}"):
        if len(line) + len(word) > LINE and line != f"{field}:":
            lines.append(line)
            line = ""
        line += word
    lines.append(line)
    if max(map(len, lines)) > HARD_LINE:
        raise ValueError("a header that is too long for a line")
    return "\r\n".join(lines)

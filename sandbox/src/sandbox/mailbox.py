"""A mailbox as HTML: what a person would see of the mails that were accepted. No scripts.

What stands in a mail is somebody's text: it is escaped, and its HTML is shown in a frame that may
run, load and open nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from sandbox.mail import read_mail
from sandbox.providers import SMTP, Accepted
from sandbox.wire import parse

MAIL_CHANNELS = ("email", SMTP)
ONE_CLICK = "List-Unsubscribe=One-Click"
# As RFC 2369 has it: URIs in angle brackets, commas between.
_URI = re.compile(r"<\s*(https?://[^<>\s]+)\s*>")
# Shown above the text; the rest is behind "All headers".
_FIRST = ("From", "To", "Reply-To", "Subject", "Message-ID", "In-Reply-To", "List-Unsubscribe")

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; "
    "frame-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class Mail:
    """One accepted mail. `headers` as they came, `at` in ISO 8601."""

    id: str
    over: str
    to: str
    sender: str
    subject: str
    at: str
    text: str
    html: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def unsubscribe_page(self) -> str | None:
        """The first web address of List-Unsubscribe (RFC 2369, 3.2)."""
        found = _URI.search(self._header("list-unsubscribe"))
        return None if found is None else found[1]

    @property
    def one_click(self) -> str | None:
        """The address that takes the one click. RFC 8058, 3.2: without List-Unsubscribe-Post a
        mail client must not post."""
        said = self._header("list-unsubscribe-post").strip()
        return self.unsubscribe_page if said == ONE_CLICK else None

    def _header(self, name: str) -> str:
        return next((text for known, text in self.headers.items() if known.lower() == name), "")


def mail_of(entry: Accepted) -> Mail:
    """A mail as it came over SMTP, or as an API took it."""
    if entry.channel == SMTP:
        whole = read_mail(entry.body)
        headers = dict(whole["headers"])
    else:
        whole = parse(entry.body)
        given = whole.get("headers")
        extra = given if isinstance(given, dict) else {}
        top = {"From": whole.get("from"), "To": entry.to, "Subject": entry.subject}
        headers = {**{name: _flat(text) for name, text in top.items() if text}, **extra}
    return Mail(
        id=entry.id,
        over="SMTP" if entry.channel == SMTP else "e-mail API",
        to=_flat(entry.to),
        sender=_flat(whole.get("from") or ""),
        subject=entry.subject or "(no subject)",
        at=entry.accepted_at.isoformat(timespec="seconds"),
        text=str(whole.get("text") or ""),
        html=str(whole.get("html") or ""),
        headers={str(name): _flat(text) for name, text in headers.items()},
    )


def _flat(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def listing(mails: Iterable[Mail], total: int) -> str:
    """All mails, as they are handed in."""
    rows = "".join(
        f'<li><a href="/mailbox/{escape(mail.id)}"><b>{escape(mail.subject)}</b>'
        f"<span>{escape(mail.sender)} → {escape(mail.to)}</span>"
        f"<small><time>{escape(mail.at)}</time> · {escape(mail.over)}</small></a></li>"
        for mail in mails
    )
    body = f"<ul class=mails>{rows}</ul>" if rows else "<p class=empty>No mail was sent yet.</p>"
    return _page("Mailbox", f"<h1>Mailbox <small>{total}</small></h1>{body}")


def one(mail: Mail, told: str = "", bad: bool = False) -> str:
    """One mail as a client shows it. `told` is what came of an action."""
    first = [(name, mail.headers[name]) for name in _FIRST if name in mail.headers]
    others = [(name, text) for name, text in mail.headers.items() if name not in _FIRST]
    return _page(
        mail.subject,
        "<p><a href=/mailbox>← Mailbox</a></p>"
        f"<h1>{escape(mail.subject)}</h1>"
        f"{_unsubscribe(mail)}"
        + (f'<p class="told{" bad" if bad else ""}" role=status>{escape(told)}</p>' if told else "")
        + f"<dl>{_rows(first)}</dl>"
        f"<details><summary>All headers</summary><dl>{_rows(others)}</dl></details>"
        + (
            # Without allow-… it runs no script, sends no form and opens no window.
            f'<h2>HTML</h2><iframe sandbox title="The mail\'s HTML" '
            f'srcdoc="{escape(mail.html)}"></iframe>'
            if mail.html
            else ""
        )
        + f"<h2>Text</h2><pre>{escape(mail.text)}</pre>",
    )


def _unsubscribe(mail: Mail) -> str:
    if mail.unsubscribe_page is None:
        return '<p class="note">This mail has no List-Unsubscribe.</p>'
    page = (
        f'<a class=button href="{escape(mail.unsubscribe_page)}" rel="noopener noreferrer">'
        "Open the unsubscribe page</a>"
    )
    click = (
        f'<form method=post action="/mailbox/{escape(mail.id)}/unsubscribe">'
        "<button class=button>Unsubscribe in one click</button></form>"
        if mail.one_click is not None
        else ""
    )
    return f"<div class=actions>{click}{page}</div>"


def _rows(headers: Iterable[tuple[str, str]]) -> str:
    return "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in headers)


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)} · sandbox mailbox</title><style>{_STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>"
    )


_STYLE = """
:root { color-scheme: light dark; --line: light-dark(#e4e3de, #2a2d32); --soft:
  light-dark(#5d5f64, #a2a6ad); --surface: light-dark(#fff, #191b1e);
  --accent: light-dark(#3156d9, #8ea6ff); font: 15px/1.5 system-ui, sans-serif; }
body { margin: 0; background: light-dark(#f5f5f2, #111214); color: light-dark(#1b1c1e, #eceded); }
main { max-width: 820px; margin: 0 auto; padding: 24px 20px 64px; }
h1 { font-size: 24px; line-height: 1.25; overflow-wrap: anywhere; } h1 small { color: var(--soft); }
h2 { font-size: 14px; color: var(--soft); margin: 26px 0 8px; }
a { color: var(--accent); }
.mails { list-style: none; padding: 0; margin: 0; border: 1px solid var(--line);
  border-radius: 12px; overflow: hidden; background: var(--surface); }
.mails li + li { border-top: 1px solid var(--line); }
.mails a { display: grid; gap: 1px; padding: 12px 16px; color: inherit; text-decoration: none;
  overflow-wrap: anywhere; }
.mails a:hover { background: light-dark(#f0f0ec, #1f2226); }
.mails span, .mails small, .note, .empty { color: var(--soft); }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 4px 16px;
  margin: 18px 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
pre, iframe { box-sizing: border-box; width: 100%; margin: 0; border: 1px solid var(--line);
  border-radius: 12px; background: var(--surface); }
pre { padding: 16px; white-space: pre-wrap; overflow-wrap: anywhere;
  font: 13px/1.55 ui-monospace, monospace; }
iframe { height: 460px; background: #fff; color-scheme: light; }
.actions { display: flex; flex-wrap: wrap; gap: 8px; margin: 14px 0; }
.actions form { margin: 0; }
.button { display: inline-block; padding: 8px 14px; border: 1px solid var(--line);
  border-radius: 8px; background: var(--surface); color: inherit; font: inherit; font-weight: 550;
  text-decoration: none; cursor: pointer; }
.told { padding: 10px 14px; border-radius: 8px; background: light-dark(#e5f4ec, #173127); }
.told.bad { background: light-dark(#fdecea, #3c1d1b); }
summary { cursor: pointer; color: var(--soft); }
@media (max-width: 560px) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: 8px; } }
"""

"""What strangers type into a form that a mail program or a phone would make a link of.

Nothing in HTML has to be one: programs look for addresses and numbers in plain text. A form takes
anybody's address, so whatever it takes for a name would go out to strangers in a tenant's name.
There is no list of endings here: a new one is sold every month, and a fallback too many does no
harm.
"""

from __future__ import annotations

import html as escaping
import re
import unicodedata
from collections.abc import Iterable, Mapping

# Without the characters that begin something else in an address of mailto: (RFC 6068, 2).
_MAILBOX = re.compile(r"[^\s@<>()\[\],;:\\\"?&=%/#]{1,64}@[A-Za-z0-9.-]{1,253}")
_PHONE = re.compile(r"[+0-9 ().\-/extEXT]{1,40}")
_SCHEME = (
    r"\b(?:https?|ftps?|file|mailto|tel|sms|smsto|callto|facetime|skype|whatsapp|tg|geo|market|intent"
    r"|javascript|vbscript|data)\s*:"
)
# A letter or digit, a dot and two letters without a blank: John.Smith too, who then is "there".
_SITE = r"[\w-][.\u3002][^\W\d_]{2}"
_LINK = re.compile(
    rf"://|www\.|{_SCHEME}|{_SITE}|\S@\S|\b\d{{1,3}}(?:\.\d{{1,3}}){{3}}\b", re.IGNORECASE
)
# Phones make a link of five digits (a short code), programs of mail of a number to be called. A
# street has a house number.
_NUMBER = re.compile(r"(?:[0-9][\s().+/-]{0,2}){5}")
# What a host or a mailbox stands in without a break, and what in HTML breaks none.
_HOST = re.compile(rf"{_SITE}|\w@\w")
_RUN = re.compile("(?<![\\w.@\u3002-])(?<!://)[\\w.@\u3002-]{4,}")
_INLINE = re.compile(r"</?(?:a|b|code|em|i|s|span|strong|u)(?:\s[^>]*)?>")
_TAG = re.compile(r"<[^>]*>")
_WITHOUT_NUMBERS = frozenset({"first_name", "last_name", "company", "title", "city"})


def would_be_a_link(name: str, value: str) -> bool:
    """Whether this value of the lead's variable `name` counts as missing."""
    if name == "email":
        return _MAILBOX.fullmatch(value) is None
    if name == "phone":
        return _PHONE.fullmatch(value) is None
    plain = _plain(value)
    return _LINK.search(plain) is not None or (
        name in _WITHOUT_NUMBERS and _NUMBER.search(plain) is not None
    )


def joined(
    said: Iterable[str], template: str, values: Mapping[str, str], of_lead: Iterable[str]
) -> frozenset[str]:
    """The lead's variables whose values became a link with what stands around them, such as `evil.`
    and `com`: what is a host or a mailbox in a text that was made, and neither the template nor a
    value has as a whole. The host of a written `https://` is its author's own doing; a link in HTML
    is none of it (`rendering.links`)."""
    typed = {name: _plain(values[name]).casefold().split() for name in of_lead if name in values}
    if not typed:
        return frozenset()
    written = ""
    found: set[str] = set()
    for text in said:
        plain = _plain(text).replace("%40", "@")  # so `url_encode` writes a mailbox
        for run in _RUN.findall(plain) if _HOST.search(plain) else ():
            host = run.strip(".\u3002-").casefold()
            if _LINK.search(host) is None:
                continue
            written = (
                written
                or _plain(
                    "\n".join((template, escaping.unescape(template), *values.values()))
                ).casefold()
            )
            if host not in written:
                found |= {
                    name
                    for name, words in typed.items()
                    if any(word in host for word in words if len(word) > 1)
                }
    return frozenset(found)


def in_html(html: str) -> str:
    """The words of HTML as they stand beside each other, roughly; no attribute is seen."""
    return escaping.unescape(_TAG.sub(" ", _INLINE.sub("", html)))


def _plain(value: str) -> str:
    """In the letters that a program of mail would look it up by: no marks, no width, no style."""
    if value.isascii():
        return value
    return "".join(
        each
        for each in unicodedata.normalize("NFKD", value)
        if unicodedata.category(each) not in ("Mn", "Mc", "Me", "Cf")
    )

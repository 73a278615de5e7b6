"""What strangers type into a form that a mail program or a phone would make a link of.

Nothing in HTML has to be one: programs look for addresses and numbers in plain text. A form takes
anybody's address, so whatever it takes for a name would go out to strangers in a tenant's name.
There is no list of endings here: a new one is sold every month, and a fallback too many does no
harm.
"""

from __future__ import annotations

import re
import unicodedata

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
_WITHOUT_NUMBERS = frozenset({"first_name", "last_name", "company", "title", "city"})


def would_be_a_link(name: str, value: str) -> bool:
    """Whether this value of the lead's variable `name` counts as missing."""
    if name == "email":
        return _MAILBOX.fullmatch(value) is None
    if name == "phone":
        return _PHONE.fullmatch(value) is None
    plain = value if value.isascii() else _plain(value)
    return _LINK.search(plain) is not None or (
        name in _WITHOUT_NUMBERS and _NUMBER.search(plain) is not None
    )


def _plain(value: str) -> str:
    """In the letters that a program of mail would look it up by: no marks, no width, no style."""
    return "".join(
        each
        for each in unicodedata.normalize("NFKD", value)
        if unicodedata.category(each) not in ("Mn", "Mc", "Me", "Cf")
    )

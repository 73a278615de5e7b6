"""One form of an address for all who compare them: intake, suppression lists, the dispatcher.

A refusal holds for an address as people read it. What nobody sees in it makes no other address,
nor does the width of its letters or the way in which its domain is written: `a@exämple.com` is
`a@xn--exmple-cua.com` (RFC 5891; read as UTS 46 has it, not transitional).
"""

from __future__ import annotations

import unicodedata

import idna

_JOINERS = "\u200c\u200d"
_BLANK = "\u2800"  # Braille without a dot: a symbol to Unicode, a blank to everybody who looks
# Default_Ignorable_Code_Point beside the format characters: the joiner of graphemes, fillers,
# Khmer's silent vowels, what picks a look, what is set aside (Unicode 15, DerivedCoreProperties).
_IGNORABLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2065\u3164\uffa0").union(
    map(chr, (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xFFF0, 0xFFF9))),
    map(chr, range(0xE0000, 0xE1000)),
)


def without_unseen(text: str, *, keep: str = "") -> str:
    """Without control and format characters and others that nobody sees, but those to `keep`.
    Blanks stay, and what looks like one becomes one."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        each
        for each in text.replace(_BLANK, " ")
        if each.isspace() or each in keep or not _is_unseen(each)
    )


def mailbox(given: str) -> str:
    """An e-mail address as it is written down: nothing unseen, letters of the usual width (RFC
    8265, 3.4), the domain in small letters, in the ASCII that DNS asks for.

    Whether it is an address is not asked: a domain that IDNA does not allow stays as it is.
    """
    bare = given.strip()
    if bare.isascii() and bare.isprintable():
        local, at, domain = bare.rpartition("@")
        return f"{local}{at}{domain.lower()}"
    local, at, domain = _usual_width(bare).rpartition("@")
    return f"{without_unseen(local)}{at}{_ascii(domain)}".strip()


def number(given: str) -> str:
    """A number without what is unseen, its digits and signs in ASCII; blanks stay."""
    return "".join(
        str(unicodedata.decimal(each, each)) for each in _usual_width(without_unseen(given))
    ).strip()


def address_key(channel: str, address: str) -> str:
    """An address in the form in which addresses are compared; of that it is the same again.

    Compared is more widely than written, whatever style the letters have (NFKC): a refusal that
    is read too widely does less harm than one that does not hold.
    """
    bare = address.strip()
    if bare.isascii() and bare.isprintable():
        return bare.lower() if channel == "email" else bare
    unparted = "".join(bare.replace(_BLANK, " ").split())
    if channel == "email":
        local, at, domain = mailbox(unparted).rpartition("@")
        styleless = unicodedata.normalize("NFKC", without_unseen(local)).lower()
        key = f"{without_unseen(unicodedata.normalize('NFKC', styleless))}{at}{domain}"
    else:
        key = number(unicodedata.normalize("NFKC", unparted))
    # What NFKC made of signs may have a blank in it, and marks behind it.
    return unicodedata.normalize("NFC", "".join(key.split()))


def _is_unseen(each: str) -> bool:
    return each in _IGNORABLE or unicodedata.category(each) in ("Cc", "Cf", "Cs")


def _usual_width(text: str) -> str:
    return unicodedata.normalize(
        "NFC",
        "".join(
            unicodedata.normalize("NFKC", each)
            if unicodedata.decomposition(each).startswith(("<wide>", "<narrow>"))
            else each
            for each in text
        ),
    )


def _ascii(domain: str) -> str:
    """A joiner is part of a name in scripts that need it (RFC 5892, A.1 and A.2), else unseen."""
    bare = without_unseen(domain).strip()
    if bare.isascii():
        return bare.lower()
    for name in (without_unseen(domain, keep=_JOINERS).strip(), bare):
        try:
            return idna.encode(name, uts46=True, transitional=False).decode()
        except UnicodeError:  # idna's own errors are such
            continue
    return bare.lower()

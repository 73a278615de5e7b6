"""Which leads are contacts of one account: people of the same company, as one tenant sees it.

The account is the company's name, without legal form and punctuation; without a name it is the
domain of the e-mail address, unless that is a mailbox provider's, where strangers meet.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from importlib.resources import files

from intake.model import ACTIVE, Key, Known, Lead
from intake.normalize.emails import is_disposable

MOST_CONTACTS = 50
"""An account with more leads is none, but a word that many people write."""

_LEGAL_FORMS = (
    "ab ag aps as bv bvba co company corp corporation eg ev gbr gmbh inc incorporated kg kgaa "
    "limited llc llp lp ltd mbh nv ohg oy oyj plc pllc pte pty sa sarl sas se spa srl the ug "
    "und and"
)
LEGAL_FORMS = frozenset(_LEGAL_FORMS.split())
_NO_COMPANY = (
    "company employed freelance freelancer home homeowner individual me myself na no none nil "
    "null owner personal private privat retired self student test tba tbd unemployed unknown"
)
NO_COMPANY = frozenset(_NO_COMPANY.split())
WORD = re.compile(r"[^\W_]+")


def account_key(lead: Lead) -> Key | None:
    """The key of the lead's account; None if it has none that anybody could share."""
    if (name := company(lead.company)) is not None:
        return Key(lead.tenant_id, "account", f"company:{name}")
    if lead.email is None:
        return None
    domain = lead.email.rpartition("@")[2].casefold()
    if domain in _free_mail_domains() or is_disposable(lead.email):
        return None
    return Key(lead.tenant_id, "account", f"domain:{domain}")


def company(given: str | None) -> str | None:
    """A company's name as names are compared: `The Acme Roofing Co., Inc.` → `acme roofing`."""
    folded = unicodedata.normalize("NFKD", (given or "").casefold().replace(".", ""))
    plain = "".join(char for char in folded if not unicodedata.combining(char))
    words = [word for word in WORD.findall(plain) if word not in LEGAL_FORMS]
    if not words or all(word in NO_COMPANY or len(word) < 2 for word in words):
        return None
    return " ".join(words)


def others(known: Known, replied: tuple[Lead, ...]) -> list[tuple[Lead, Lead]]:
    """The other active contacts of the accounts of those who replied, each with who replied."""
    found: dict[str, tuple[Lead, Lead]] = {}
    for lead in replied:
        key = account_key(lead)
        contacts = known.by(key) if key is not None else ()
        if len(contacts) > MOST_CONTACTS:
            continue
        for other in contacts:
            # The key stays with a lead that has gone to another company since.
            if other not in replied and other.status == ACTIVE and account_key(other) == key:
                found.setdefault(other.lead_id, (other, lead))
    return list(found.values())


@cache
def _free_mail_domains() -> frozenset[str]:
    lines = files("intake").joinpath("data/free_mail_domains.txt").read_text().split("\n")
    return frozenset(entry.strip() for entry in lines if entry and not entry.startswith("#"))

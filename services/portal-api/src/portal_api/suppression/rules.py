"""What may stand on a suppression list, and who may take it off again. Pure.

An opt-out holds for good: 47 CFR 64.1200(d)(6) and CAN-SPAM (15 U.S.C. 7704(a)(4)) end it by a
new permission of the person alone. What a mailbox did is another matter: it may work again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from leadflow import addresses

CHANNELS = ("email", "sms", "whatsapp", "call")
PHONE_CHANNELS = CHANNELS[1:]
# The person's own word, by which way it came.
OWN_WORD = frozenset({"opt_out", "provider_opt_out", "complaint"})
REASONS = ("opt_out", "complaint", "hard_bounce", "soft_bounces", "manual", "provider_opt_out")
# What a person may enter: that a provider said so, it says itself.
BY_HAND = REASONS[:-1]

# One mailbox, as the dispatcher takes them: no comments and quotes of RFC 5322.
EMAIL = re.compile(r"[^\s@<>(),;:\\\"\[\]\x00-\x1f\x7f]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
PHONE = re.compile(r"\+[1-9][0-9]{5,14}")  # E.164
# Ten digits of the North American plan: area and exchange begin with 2 to 9.
NANP = re.compile(r"1?([2-9][0-9]{2}[2-9][0-9]{6})")
NANP_REGIONS = frozenset({"US", "CA"})
LONGEST_ADDRESS = 254  # RFC 5321, 4.5.3.1.3


class NotListable(Exception):
    """Why an address cannot stand on a list; without the address itself."""


@dataclass(frozen=True, slots=True)
class Place:
    """An address on a channel, in the form in which addresses are compared."""

    channel: str
    address: str


def places(address: str, channel: str, region: str) -> tuple[Place, ...]:
    """Where an address is to be left alone. `channel` may be empty or `all`: not named, a refusal
    is read widely. `region` tells how a number without a country code is read.

    Raises NotListable.
    """
    if len(address.strip()) > LONGEST_ADDRESS:
        raise NotListable(f"an address has at most {LONGEST_ADDRESS} characters")
    given = addresses.mailbox(address)
    if not given:
        raise NotListable("there is no address")
    by_mail = "@" in given
    wanted = channel.strip().lower()
    if wanted in ("", "all"):
        wide = ("email",) if by_mail else PHONE_CHANNELS
    elif wanted in CHANNELS:
        if by_mail != (wanted == "email"):
            fits = "a number" if by_mail else "an e-mail address"
            raise NotListable(
                f"{wanted} needs {fits if wanted != 'email' else 'an e-mail address'}"
            )
        wide = (wanted,)
    else:
        raise NotListable(f"channel takes {', '.join(CHANNELS)} or all")
    written = _mailbox(given) if by_mail else _number(given, region)
    return tuple(Place(each, written) for each in wide)


def _mailbox(given: str) -> str:
    key = addresses.address_key("email", given)
    if EMAIL.fullmatch(given) is None or EMAIL.fullmatch(key) is None:
        raise NotListable("this is no e-mail address")
    return key


def _number(given: str, region: str) -> str:
    plain = addresses.number(given).removeprefix("whatsapp:").removeprefix("tel:")
    bare = re.sub(r"[\s().\-/\u2010-\u2015\u2212]", "", plain)
    if bare.startswith("00"):
        bare = f"+{bare[2:]}"
    if region in NANP_REGIONS and (found := NANP.fullmatch(bare)):
        bare = f"+1{found[1]}"
    if PHONE.fullmatch(bare) is None:
        raise NotListable("this is neither an e-mail address nor a number with its country code")
    return bare


def reason_of(given: str) -> str:
    """The reason in our words. Raises NotListable."""
    word = "_".join(given.strip().lower().replace("-", " ").split())
    known = _ALIASES.get(word, word)
    if known not in REASONS:
        raise NotListable(f"reason takes {', '.join(REASONS)}")
    return known


# The words of other tools' exports.
_ALIASES = {
    "": "manual",
    "unsubscribe": "opt_out",
    "unsubscribed": "opt_out",
    "opted_out": "opt_out",
    "optout": "opt_out",
    "stop": "opt_out",
    "bounce": "hard_bounce",
    "bounced": "hard_bounce",
    "hard": "hard_bounce",
    "cleaned": "hard_bounce",
    "soft_bounce": "soft_bounces",
    "complained": "complaint",
    "spam": "complaint",
    "spam_report": "complaint",
    "abuse": "complaint",
}


def why_not_lifted(reason: str, evidence: str) -> str | None:
    """Why a person may not lift an entry of this reason; None if they may."""
    if reason not in OWN_WORD or evidence.strip():
        return None
    return (
        "This is the person's own word. It is lifted only by a new opt-in: by START from the "
        "number, or here with `evidence` that says what the person said, when and where."
    )

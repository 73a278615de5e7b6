"""Whether a short message says nothing but that somebody wants to be left alone.

47 CFR 64.1200(a)(10): consent is revoked "in any reasonable manner" that says so, not by a keyword
alone. English, the words people use. A message is read by its clauses, and one of them has to be
such a wish from its first to its last word: "stop by at five" and "don't stop" are none.
"""

from __future__ import annotations

import re
import unicodedata

from leadflow.addresses import without_unseen

LONGEST_CHARS = 200
"""Who writes more has more to say: somebody has to read it."""
MOST_WORDS_AFTER_STOP = 15
MOST_WORDS_BEFORE_STOP = 5


def _any(words: str) -> str:
    """One of the phrases that are separated by commas."""
    return "(?:" + "|".join(each.strip() for each in words.split(",")) + ")"


# No two of these may be read as one, or many of them take for ever.
_BEFORE = _any(
    "please, pls, plz, kindly, just, ok, okay, sir, madam, no, sorry, thanks, thank you, again, "
    "(?:can|could|would|will) (?:you|u), "
    "(?:i|we) (?:want|need|wish|would like)(?: you)? to, id like(?: you)? to, "
    "you (?:need|have|must)(?: to)?, (?:i|we) (?:said|asked you to), (?:im|i am) asking you to"
)
_SOON = _any(
    "please, pls, plz, thanks, thank you, thx, ty, now, right now, right away, immediately, "
    "already, asap, at once, effective immediately, (?:(?:im|i am|we are) )?not interested"
)
_AFTER = _any(f"{_SOON}, again, anymore, any more, ever, for good, permanently, forever")
_WHOM = (
    "(?:me|us|(?:my|our|this) (?:(?:cell|phone|mobile) )?(?:number|phone|cell|mobile|name|info|"
    "information|details|data|email|address|email address))"
)
_WHICH = "(?:(?:all|any|of|these|those|this|the|your|so many|more|further|marketing|automated) )*"
_THINGS = (
    "(?:(?:text|phone|email|sales) )?(?:texts?|messages?|e?mails?|mailings?|sms|calls?|"
    "spam|newsletters?|stuff|notifications?|reminders?|follow ups?|contact|ads)"
)
_LIST = (
    "(?:off|from|out of|of)(?: (?:your|the|this|that|these|all|any|of))*"
    "(?: (?:mailing|email|contact|call|calling|text|texting|sms|marketing|phone))?"
    f" (?:lists?|database|system|records|contacts|it|this|all|everything|marketing|{_THINGS})"
)
_DOING = _any(
    "texting, messaging, emailing, mailing, contacting, calling, sending, writing, spamming, "
    "bothering, harassing, bugging, pestering, following up, reaching out"
)
_TO = f"(?:(?:to )?{_WHOM})"
_HOW = "(?:how (?:do|can) (?:i|we) )?"

# Clear whatever else the message says.
_WISHES = (
    f"stop(?: {_DOING})+(?: {_TO})?(?: (?:with )?{_WHICH}{_THINGS})?(?: {_TO})?",
    f"stop {_WHICH}{_THINGS}(?: {_TO})?",
    f"(?:do not|dont|never)(?: ever)? (?:text|message|email|mail|contact|write|sms|spam|bother|"
    f"send)(?: {_TO})(?: {_WHICH}{_THINGS})?",
    f"(?:do not|dont|never)(?: ever)? send(?: {_TO})? {_WHICH}{_THINGS}(?: {_TO})?",
    "(?:do not|dont|never)(?: ever)? (?:call|contact)(?: me| us| this number)? "
    "(?:again|anymore|any more|ever again)",
    "do not contact",
    f"(?:remove|delete|erase) {_WHOM}(?: {_LIST})?",
    f"(?:take|drop|get) {_WHOM} (?:off|{_LIST})",
    f"be (?:removed|unsubscribed|taken off|deleted)(?: {_LIST})?",
    f"{_HOW}unsubscribe(?: {_WHOM})?(?: all| {_LIST})?",
    f"{_HOW}(?:(?:i|im|i am) )?opt(?:ing)?(?: {_WHOM})? out(?: {_LIST})?",
    f"no more {_WHICH}{_THINGS}",
    "leave (?:me|us) alone",
    "lose (?:my|this) number",
    "(?:i )?(?:hereby )?revoke(?: my)? consent",
    "cease and desist",
)
_GREETING = "(?:(?:hi|hey|hello|dear)(?: [a-z]+)? )?"
WISH = re.compile(f"{_GREETING}(?:{_BEFORE} )*(?:{'|'.join(_WISHES)})(?: {_AFTER})*")
# Clear where little else is said.
STOP = re.compile(
    f"{_GREETING}(?:{_BEFORE} )*(?:stop(?: stop)*|stop ?all|stop it|stop this|stop everything|"
    f"unsub|opt ?out)(?: {_SOON})*"
)
# Clear where nothing else is said: they have other meanings.
ALONE = re.compile("(?:(?:please|pls) )?(?:cancel|end|quit|revoke)(?: (?:please|pls|thanks))?")
# Letters of Cyrillic and Greek keyboards that look like those of the words above.
_LOOK_ALIKES = str.maketrans(
    "АВЕКМНОРСТУХЅІЈԚԜаеорстухѕіјԛԝΑΒΕΖΗΙΚΜΝΟΡΤΥΧο",
    "ABEKMHOPCTYXSIJQWaeopctyxsijqwABEZHIKMNOPTYXo",
)
_CLAUSES = re.compile(r"[.!?;:,\n\u2013\u2014]+|\s-+\s")
_WORDS = re.compile(r"[^\W_]+")


def as_seen(text: str) -> str:
    """The letters that people see: those of a Chinese or Japanese keyboard are wide (NFKC), some of
    other alphabets look like ours; what nobody sees is left out."""
    return unicodedata.normalize("NFKC", without_unseen(text)).translate(_LOOK_ALIKES)


def asks_to_stop(text: str) -> bool:
    """Whether a message of up to LONGEST_CHARS asks for no more."""
    if len(text) > LONGEST_CHARS:
        return False
    plain = re.sub("['\u2019`]", "", as_seen(text).casefold()).replace("e-mail", "email")
    clauses = [" ".join(_WORDS.findall(each)) for each in _CLAUSES.split(plain)]
    clauses = [each for each in clauses if each]
    if not clauses:
        return False
    if any(WISH.fullmatch(each) for each in clauses):
        return True
    count = len(" ".join(clauses).split())
    first, last = clauses[0], clauses[-1]
    if STOP.fullmatch(first) and count - len(first.split()) <= MOST_WORDS_AFTER_STOP:
        return True
    if STOP.fullmatch(last) and count - len(last.split()) <= MOST_WORDS_BEFORE_STOP:
        return True
    whole = " ".join(clauses)
    return bool(STOP.fullmatch(whole) or ALONE.fullmatch(whole))

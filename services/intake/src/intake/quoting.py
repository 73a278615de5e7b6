"""What somebody wrote themselves in an answer by mail: without quotations and signature.

A line that a mail program writes above a quotation holds a date, a time or an address; a person's
sentence that begins with the same words does not. So a cut needs that evidence, never the shape of
a line alone. Everything is looked at line by line, with bounded patterns: who writes is anybody.
"""

from __future__ import annotations

import re
from typing import NamedTuple

READ_CHARS = 200_000
READ_LINES = 5_000
LONGEST_ATTRIBUTION = 400
ATTRIBUTION_LINES = 4
"""A mail program folds `On …, Jane Doe <jane@example.com> wrote:` into that many lines at most."""
HEADER_LINES = 6


class Own(NamedTuple):
    """`text` is never empty where the mail was not: if nothing is theirs, it is all of it, and
    `nothing_own` says so."""

    text: str
    nothing_own: bool


# What stands at the end of the line above a quotation: en, de, fr, es, it, nl, pt, sv, da and no,
# fi, pl, cs, hu, tr, ru, ja, zh, ko.
_VERBS = (
    "wrote|schrieb(?: .{1,120})?|a écrit|escribió|ha scritto|schreef(?: .{1,120})?|escreveu|skrev"
    "(?: .{1,120})?|kirjoitti|napisał(?:a|\\(a\\))?|napsala?|írta|yazdı|написала?|пишет|のメール"
    "|写道|작성"
)
ATTRIBUTION = re.compile(rf"(?:{_VERBS})\s*[:：]\s*$", re.IGNORECASE)
EVIDENCE = re.compile(
    r"[^\s<>@]{1,64}@[^\s<>@]{1,253}"  # an address
    r"|\b\d{1,2}[:.h]\d{2}\b"  # a time
    r"|\b\d{4}-\d{2}-\d{2}\b|\b\d{1,2}[./]\s?\d{1,2}[./]\s?\d{2,4}\b"  # a date in figures
    r"|\b(?:19|20)\d{2}\b"  # a year
    r"|\d{4}年"
)
# A block of header fields, as Outlook and forwards put it there. The first field is the sender,
# the second proves that it is a block.
_FROM = "from|von|de|da|van|från|fra|lähettäjä|od|feladó|gönderen|от|差出人|发件人|보낸 사람"
_SENT = (
    "sent|date|gesendet|datum|envoyé|enviado(?: el)?|fecha|inviato|data|verzonden|skickat|sendt|"
    "dato|lähetetty|wysłano|odesláno|elküldve|gönderildi|отправлено|дата|送信日時|"
    "发送时间|보낸 날짜"
)
_TO = "to|an|à|para|a|aan|till|til|do|komu|címzett|kime|кому|宛先|收件人|받는 사람"
BLOCK_FIRST = re.compile(rf"\*?(?:{_FROM})\s?[:：]\*?\s?\S", re.IGNORECASE)
BLOCK_NEXT = re.compile(rf"\*?(?:{_SENT}|{_TO})\s?[:：]\*?\s?\S", re.IGNORECASE)
SEPARATOR = re.compile(
    r"-{2,}\s?(?:original (?:message|appointment)|ursprüngliche nachricht|message d'origine|"
    r"mensaje original|messaggio originale|oorspronkelijk bericht|mensagem original|"
    r"ursprungligt meddelande|oprindelig meddelelse|opprinnelig melding|wiadomość oryginalna|"
    r"forwarded message|weitergeleitete nachricht|message transféré|mensaje reenviado)\s?-{2,}$"
    r"|(?:begin forwarded message|anfang der weitergeleiteten nachricht|"
    r"début du message réexpédié|inicio del mensaje reenviado)\s?:$",
    re.IGNORECASE,
)
RULE = re.compile(r"[_\-—=*]{5,}$")
# RFC 3676, 4.3; mail programs lose the space.
SIGNATURE = re.compile(r"--\s?$")
DEVICE = re.compile(
    r"(?:sent from (?:my|outlook|mail|yahoo|proton)|get outlook for|von meinem|gesendet mit|"
    r"envoyé (?:de|depuis) mon|enviado desde mi|inviato da(?:l mio)?|verzonden vanaf mijn|"
    r"enviado do meu|skickat från min|sendt fra min|wysłane z)\b.{0,60}$",
    re.IGNORECASE,
)


def own_words(text: str) -> Own:
    """What the writer of a mail wrote, above, below or between what they quote."""
    whole = text[:READ_CHARS].replace("\r\n", "\n").replace("\r", "\n").strip()
    kept = "\n".join(_kept(whole.split("\n")[:READ_LINES])).strip()
    return Own(kept, nothing_own=False) if kept else Own(whole, nothing_own=True)


def _kept(lines: list[str]) -> list[str]:
    kept: list[str] = []
    index = 0
    while index < len(lines):
        line = lines[index].strip()
        if line.startswith(">"):
            index += 1
        elif length := _attribution(lines, index):
            index += length
            if not _quote_follows(lines, index):
                break  # what is quoted is not marked: it goes to the end
        elif _cuts(lines, index) or SIGNATURE.fullmatch(lines[index].lstrip("\u200b")):
            break
        elif DEVICE.match(line) and _ends(lines, index + 1):
            index += 1
        else:
            kept.append(lines[index].rstrip())
            index += 1
    while kept and (not kept[-1] or RULE.fullmatch(kept[-1].strip())):
        kept.pop()  # the line that Outlook draws above its block
    return _without_gaps(kept)


def _attribution(lines: list[str], start: int) -> int:
    """How many lines from `start` on stand above a quotation; 0: none."""
    joined = ""
    for count in range(1, ATTRIBUTION_LINES + 1):
        if start + count > len(lines):
            return 0
        line = lines[start + count - 1].strip()
        if not line or line.startswith(">"):
            return 0
        joined = f"{joined} {line}".strip()
        if len(joined) > LONGEST_ATTRIBUTION:
            return 0
        if ATTRIBUTION.search(joined):
            return count if EVIDENCE.search(joined) else 0
        if joined.endswith((".", "!", "?")):
            return 0  # a sentence has ended: what follows belongs to another
    return 0


def _quote_follows(lines: list[str], start: int) -> bool:
    following = next((line.strip() for line in lines[start:] if line.strip()), "")
    return following.startswith(">")


def _cuts(lines: list[str], index: int) -> bool:
    """Whether everything from this line on is quoted or forwarded."""
    line = lines[index].strip()
    if len(line) <= LONGEST_ATTRIBUTION and SEPARATOR.match(line):
        return True
    if not BLOCK_FIRST.match(line):
        return False
    following = [each.strip() for each in lines[index + 1 : index + HEADER_LINES]]
    return any(BLOCK_NEXT.match(each) for each in following) and any(
        EVIDENCE.search(each[:LONGEST_ATTRIBUTION]) for each in (line, *following)
    )


def _ends(lines: list[str], index: int) -> bool:
    """Whether nothing of their own comes behind: the end, a quotation or a blank line."""
    return index >= len(lines) or not lines[index].strip() or lines[index].startswith(">")


def _without_gaps(lines: list[str]) -> list[str]:
    """Single blank lines where quotations were."""
    return [line for number, line in enumerate(lines) if line or (number > 0 and lines[number - 1])]

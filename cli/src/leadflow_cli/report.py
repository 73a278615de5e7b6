"""The short table at the end, and what it must agree with. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from leadflow_cli.accounts import FATES, Accounts
from leadflow_cli.expected import Expected
from leadflow_cli.ledger import Acceptance

SHOWN = 8


@dataclass(frozen=True)
class Check:
    """One claim, and the sentences that speak against it; it holds when there are none."""

    claim: str
    against: list[str]


def rows(totals: Mapping[str, Any], contacts: int) -> list[tuple[str, str]]:
    """The table's rows from the portal's totals and the CRM's contacts: name and value."""
    latency = totals["latency_ms"]
    return [
        ("received", f"{totals['received']}"),
        ("normalized", f"{totals['normalized']}"),
        ("merged", f"{totals['merged']}"),
        ("quarantined", f"{totals['quarantined']}"),
        ("dead letters", f"{totals['dlq']}"),
        ("enrolled", f"{totals['enrolled']}"),
        ("messages accepted", f"{totals['messages_accepted']}"),
        ("tasks and calls recorded", f"{totals['messages_recorded']}"),
        ("CRM records", f"{contacts}"),
        ("summaries pending", f"{totals['summaries_pending']}"),
        ("summaries approved", f"{totals['summaries_approved']}"),
        (
            "raw event to first accepted message",
            f"p50 {seconds(latency['p50'])}   p99 {seconds(latency['p99'])}",
        ),
    ]


def seconds(milliseconds: float | None) -> str:
    """A duration for people: 840 ms, 2.4 s; a dash for none."""
    if milliseconds is None:
        return "–"
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def checks(
    accounts: Accounts,
    totals: Mapping[str, Any],
    *,
    from_the_start: bool,
    expected: Expected | None,
    accepted: Iterable[Acceptance],
    contacts: int,
) -> list[Check]:
    """What must hold. `accepted` is everything that the provider accepted, asked at the end;
    without `from_the_start` it may hold sends from before, which are passed over."""
    own = accounts.counts()
    fates = sum(own[fate] for fate in FATES)
    made = [
        Check(
            f"received {own['received']} = "
            + " + ".join(f"{_word(fate)} {own[fate]}" for fate in FATES),
            [] if fates == own["received"] else [f"they add up to {fates}"],
        )
    ]
    if from_the_start:
        made.append(
            Check(
                "the portal's totals are those of the topics",
                [
                    f"{name}: {totals[name]} in the portal, {count} on the topics"
                    for name, count in own.items()
                    if totals[name] != count
                ],
            )
        )
    if expected is not None:
        made.append(
            Check(
                "every event came to what demo/expected.json says",
                expected.differences(accounts.fates()),
            )
        )
        if from_the_start:
            leads = expected.active_leads
            short = [] if contacts == leads else [f"the CRM has {contacts} contacts"]
            made.append(Check(f"each of the {leads} leads is in the CRM", short))
    queued = accounts.ledger.queued
    followed = [each for each in accepted if from_the_start or each.key in queued]
    made.append(
        Check(
            f"each of the {own['messages_accepted']} accepted messages was accepted once",
            accounts.ledger.disagreements(followed, followed),
        )
    )
    return made


def lines(made: Iterable[Check]) -> list[str]:
    """The checks in print: a mark and the claim, and below it what speaks against it."""
    told = []
    for check in made:
        told.append(f"{'✗' if check.against else '✓'} {check.claim}")
        told += [f"    {sentence}" for sentence in check.against[:SHOWN]]
        if len(check.against) > SHOWN:
            told.append(f"    and {len(check.against) - SHOWN} more")
    return told


def _word(fate: str) -> str:
    return "dead letters" if fate == "dlq" else fate

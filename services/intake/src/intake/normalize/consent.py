"""What a person allowed: by channel, with basis, words shown, time, place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from intake.model import CHANNELS, OPT_OUT
from intake.normalize.fields import flag, group, line, text, time
from leadflow.records import ConsentGrant


def consent(payload: Mapping[str, Any], occurred_at: datetime) -> tuple[ConsentGrant, ...]:
    """One entry for each channel that the payload answers with yes or no."""
    given = group(payload, "consent")
    answers = [(channel, flag(given.get(channel))) for channel in CHANNELS]
    return tuple(
        ConsentGrant(
            channel=channel,
            granted=granted,
            basis=line(given, "basis"),
            text=text(given, "text"),
            at=time(given, "at") or occurred_at,
            ip=line(given, "ip"),
            page=line(given, "page"),
        )
        for channel, granted in answers
        if granted is not None
    )


def merged(
    known: tuple[ConsentGrant, ...], seen: Iterable[ConsentGrant], *, fill_only: bool
) -> tuple[ConsentGrant, ...]:
    """What is known, with what a new sighting says.

    An opt-out stays until the person opts in: no form, import or CRM takes it back. With
    `fill_only` (the sighting is older than what is known) only unanswered channels change.
    """
    by_channel = {grant.channel: grant for grant in known}
    for grant in seen:
        before = by_channel.get(grant.channel)
        if before is None or not (fill_only or is_opt_out(before) or _same(before, grant)):
            by_channel[grant.channel] = grant
    return in_order(by_channel)


def withdrawn(
    known: tuple[ConsentGrant, ...], channels: Iterable[str], at: datetime
) -> tuple[ConsentGrant, ...]:
    """What is known, with an opt-out on each of `channels` that has none yet."""
    by_channel = {grant.channel: grant for grant in known}
    for channel in channels:
        before = by_channel.get(channel)
        if before is None or not is_opt_out(before):
            by_channel[channel] = ConsentGrant(channel=channel, granted=False, basis=OPT_OUT, at=at)
    return in_order(by_channel)


def is_opt_out(grant: ConsentGrant) -> bool:
    return not grant.granted and grant.basis == OPT_OUT


def in_order(by_channel: Mapping[str, ConsentGrant]) -> tuple[ConsentGrant, ...]:
    return tuple(by_channel[channel] for channel in CHANNELS if channel in by_channel)


def _same(one: ConsentGrant, other: ConsentGrant) -> bool:
    """A repeat of the same answer is no change, whenever it was asked again."""
    return replace(one, at=None, ip=None, page=None) == replace(other, at=None, ip=None, page=None)

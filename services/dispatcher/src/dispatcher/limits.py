"""How much may go out: by provider, mailbox, tenant and recipient's domain; the smallest wins.

A limit is a bucket of `burst` tokens, one more every `interval` seconds, kept as the time when it
would be full again (GCRA, ITU-T I.371): nothing has to be refilled, and a bucket that nobody used
is not there. A token is taken when a message goes, from each of its buckets or from none.

Who finds no token gets a turn: the bucket that makes it wait longest remembers until when turns
are given out (`tail`). As long as somebody waits, newcomers queue up behind; so messages keep
their order, a lead's always, and others nearly: a turn is never more than LONGEST_WAIT away, and
who comes back from that early gets another. A queue that nobody came out of for a while is gone.
What waits is with the ledger, not with a worker: another tenant's messages pass it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

DAY_SECONDS = 86_400.0
# To come back costs a claim: not more often than a few times a day, however long the queue is.
# When the limits change nobody waits for that (`dispatcher.shared_gate`).
LONGEST_WAIT_SECONDS = 6 * 3600.0
SHORTEST_WAIT_SECONDS = 0.01
# Nobody comes back to the moment. Who was told when to come, and is so late, costs the limit
# nothing: the next token is counted from when it was due.
LATE_SECONDS = 0.1
# No token was taken for so long, though one was there: those who had turns are gone.
GONE_SECONDS = 60.0
# Who is back from its turn and finds no token waits for one of so many seconds, or for the next.
SOON_SECONDS = 1.0
ANY = "*"


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` at once, 1 or more; then one every `interval` seconds."""

    interval: float
    burst: int = 1


@dataclass(frozen=True, slots=True)
class RampUp:
    """A new mailbox earns its name: so many a day, day after day; afterwards no cap."""

    first_day: date
    per_day: tuple[int, ...]

    def rate(self, today: date) -> Rate | None:
        """Spread over the day, a tenth of it at once; in no 24 hours more than the day's cap."""
        number = max(0, (today - self.first_day).days)
        if number >= len(self.per_day):
            return None
        cap = self.per_day[number]
        burst = max(1, cap // 10)
        return Rate(DAY_SECONDS / max(1, cap - burst), burst)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Rates by name; under ANY the one of every name that has none of its own.

    Domains are counted for each tenant apart: one tenant's mail to gmail.com does not use up
    another's.
    """

    provider: Mapping[str, Rate] = field(default_factory=dict)
    tenant: Mapping[str, Rate] = field(default_factory=dict)
    mailbox: Mapping[str, Rate] = field(default_factory=dict)
    domain: Mapping[str, Rate] = field(default_factory=dict)
    ramp_up: Mapping[str, RampUp] = field(default_factory=dict)

    @property
    def by_mailbox(self) -> bool:
        return bool(self.mailbox or self.ramp_up)

    def __bool__(self) -> bool:
        return bool(self.provider or self.tenant or self.mailbox or self.domain or self.ramp_up)

    def rates_of(
        self, *, provider: str, tenant_id: str, mailbox: str, domain: str, today: date
    ) -> dict[str, Rate]:
        """The buckets that a message takes from; `mailbox` and `domain` are "" if it has none."""
        found: dict[str, Rate | None] = {
            f"provider:{provider}": _named(self.provider, provider),
            f"tenant:{tenant_id}": _named(self.tenant, tenant_id),
        }
        if mailbox:
            found[f"mailbox:{mailbox}"] = _named(self.mailbox, mailbox)
            ramp_up = self.ramp_up.get(mailbox)
            found[f"ramp_up:{mailbox}"] = ramp_up.rate(today) if ramp_up is not None else None
        if domain:
            found[f"domain:{tenant_id}:{domain}"] = _named(self.domain, domain)
        return {key: rate for key, rate in found.items() if rate is not None}


def _named(rates: Mapping[str, Rate], name: str) -> Rate | None:
    return rates.get(name) or rates.get(ANY)


@dataclass(frozen=True, slots=True)
class Bucket:
    """Both in seconds since the epoch; in the past they mean nothing."""

    full_at: float = 0.0
    tail: float = 0.0


@dataclass(frozen=True, slots=True)
class Asked:
    """A message that asks to go. `waited`: it was told to come back, and is back."""

    rates: Mapping[str, Rate]
    waited: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """To come back in `seconds`, because of the bucket `key`; no `key`: it may go now."""

    key: str = ""
    seconds: float = 0.0


GO = Turn()


def turns(
    asked: Sequence[Asked], buckets: Mapping[str, Bucket], now: float
) -> tuple[list[Turn], dict[str, Bucket]]:
    """Who may go, in the order of asking, and the buckets that changed."""
    current = dict(buckets)
    for each in asked:
        for key, rate in each.rates.items():
            current[key] = _plausible(buckets.get(key, Bucket()), rate, now)
    next_free: dict[str, float] = {}
    given = [_turn(each, current, now, next_free) for each in asked]
    return given, {key: each for key, each in current.items() if each != buckets.get(key, Bucket())}


def _plausible(bucket: Bucket, rate: Rate, now: float) -> Bucket:
    """Never more than empty, and no turn too far away: the rate was another one, or the clock was,
    when more was written down. Full for a while, it has no queue."""
    gone = bucket.full_at < now - GONE_SECONDS
    return Bucket(
        min(bucket.full_at, now + rate.burst * rate.interval),
        min(bucket.tail, now if gone else now + LONGEST_WAIT_SECONDS),
    )


def _turn(
    asked: Asked, buckets: dict[str, Bucket], now: float, next_free: dict[str, float]
) -> Turn:
    """`next_free`: by bucket, the token after those that were promised here to who is back."""
    slowest, at = "", now
    for key, rate in asked.rates.items():
        bucket = buckets.get(key, Bucket())
        # When there will be a token, and when it is the turn of who comes last.
        token_at = max(bucket.full_at, now) - (rate.burst - 1) * rate.interval
        queue_ends = 0.0 if asked.waited else bucket.tail
        free_at = max(token_at, queue_ends)
        if free_at > at:
            slowest, at = key, free_at
    if not slowest:
        for key, rate in asked.rates.items():
            bucket = buckets.get(key, Bucket())
            counted_from = now - LATE_SECONDS if asked.waited else now
            full_at = max(bucket.full_at, counted_from) + rate.interval
            buckets[key] = replace(bucket, full_at=full_at)
        return GO
    bucket, interval = buckets.get(slowest, Bucket()), asked.rates[slowest].interval
    if asked.waited:
        # Whoever went before came late, and so the token is: no reason to lose its place.
        token_at = max(at, next_free.get(slowest, at))
        if token_at <= now + max(interval, SOON_SECONDS):
            next_free[slowest] = token_at + interval
            return Turn(slowest, max(SHORTEST_WAIT_SECONDS, token_at - now))
    turn_at = min(max(at, bucket.tail), now + LONGEST_WAIT_SECONDS)
    tail = min(turn_at + interval, now + LONGEST_WAIT_SECONDS)
    buckets[slowest] = replace(bucket, tail=max(tail, bucket.tail))
    return Turn(slowest, max(SHORTEST_WAIT_SECONDS, turn_at - now))

"""The send loop: claim what is due, check it, hand it to the provider, record what came of it.

By the place where a process may die:

- after the claim: the lease runs out; with a key the same bytes are presented again, without
  one the message is unknown;
- between the provider's yes and our record: the same, and the key is accepted once;
- after the record: the event is in the outbox and goes out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf

import structlog

from dispatcher import events, metrics
from dispatcher.caps import Full, cap_for, full
from dispatcher.controls import Controls
from dispatcher.credentials import Credentials
from dispatcher.decide import (
    Decision,
    Retries,
    after_answer,
    before_sending,
    refusal_seconds,
)
from dispatcher.fence import Fence
from dispatcher.gate import LIMIT, Gate, OpenGate, Wait
from dispatcher.hours import closed_for
from dispatcher.ledger import Ledger, Settled
from dispatcher.model import Answer, Entry, Refused, State
from dispatcher.pace import Wakeup, backoff
from dispatcher.providers.base import Broken, Provider, ProviderError
from leadflow import topics
from leadflow.clock import Clock
from leadflow.codec import Codec
from leadflow.errors import is_retryable, public_reason
from leadflow.health import Health
from leadflow.tenants import Tenant

log = structlog.get_logger()

IDLE_SECONDS = 0.5
# Messages for people, of one claim.
RECORDED_AT_ONCE = 100
# Batch calls that one claim is for: a statement for many messages costs little more than for few.
BATCH_CALLS = 4
# How long a claim waits for what was said before it to be read; then it is given back for a while.
FENCE_SECONDS = 2.0
BEHIND_SECONDS = 0.5
# Without pauses nothing goes out: there may be one that we cannot see.
NEEDED = frozenset({topics.AUTOMATION_CONTROLS.name})


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The channel that a loop serves, and its provider; None where people do it."""

    channel: str
    provider: Provider | None

    @property
    def provider_name(self) -> str:
        return self.provider.name if self.provider is not None else "record"

    @property
    def keyed(self) -> bool:
        return self.provider is None or self.provider.keyed

    @property
    def key_seconds(self) -> float:
        return inf if self.provider is None else self.provider.key_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """`lease_seconds` must be longer than a provider may take to answer."""

    lease_seconds: float
    timeout_seconds: float
    retries: Retries


class Sender:
    """One of the loops of a route. Several run side by side, in one process and in many."""

    def __init__(
        self,
        route: Route,
        *,
        ledger: Ledger,
        controls: Controls,
        codec: Codec,
        clock: Clock,
        health: Health,
        pace: Pace,
        to_send: Wakeup,
        to_publish: Wakeup,
        gate: Gate | None = None,
        fence: Fence | None = None,
        tenants: Mapping[str, Tenant] | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        self._credentials = credentials or Credentials(clock)
        self._gate = gate or OpenGate()
        self._fence = fence
        self._tenants = tenants or {}
        self._route = route
        self._ledger = ledger
        self._controls = controls
        self._codec = codec
        self._clock = clock
        self._health = health
        self._pace = pace
        self._to_send = to_send
        self._to_publish = to_publish
        self._turn_at = 0.0
        self._part = f"sender-{route.channel}"

    async def run(self, stop: asyncio.Event) -> None:
        failures = 0
        while not stop.is_set():
            ticket = self._to_send.ticket()
            if NEEDED & self._health.waiting().keys():
                await self._to_send.wait(ticket, IDLE_SECONDS)
                continue
            try:
                sent = await self.round()
            except Exception as error:
                if not is_retryable(error):
                    raise
                failures += 1
                self._health.not_ready(self._part, public_reason(error))
                log.warning(
                    "will claim again", route=self._route.channel, reason=public_reason(error)
                )
                await self._clock.sleep(backoff(failures))
                continue
            failures = 0
            self._health.ready(self._part)
            self._health.progress(self._part)
            if not sent:
                turn = self._turn_at - self._clock.monotonic()
                await self._to_send.wait(ticket, turn if 0 < turn < IDLE_SECONDS else IDLE_SECONDS)

    async def round(self) -> int:
        """Claim a batch and carry it to its end; returns its size."""
        route, pace = self._route, self._pace
        provider = route.provider
        limit = RECORDED_AT_ONCE
        if provider is not None:
            limit = await self._allowance(provider)
            if not limit:
                return 0
        deadline = self._clock.monotonic() + pace.lease_seconds
        entries = await self._ledger.claim(
            route.channel, route.provider_name, limit=limit, lease_seconds=pace.lease_seconds
        )
        if not entries:
            if provider is not None:
                self._credentials.unused(provider.name, limit)
                await self._gate.unused(provider.name, limit)
            return 0
        try:
            groups, decided = await self._chosen(entries, limit)
        except Exception:
            # Nobody was called: with its lease it would run into a doubt that there is not.
            with suppress(Exception):
                await self._settle([_back(entry) for entry in entries])
            raise
        if provider is not None:
            calls = [self._send(provider, group, deadline) for group in groups]
            for answered in await asyncio.gather(*calls):
                decided.extend(answered)
            self._credentials.unused(provider.name, limit)  # where no call was made
        await self._settle(decided)
        self._heed_turns(decided)
        return len(entries)

    def _heed_turns(self, decided: Sequence[tuple[Entry, Decision]]) -> None:
        """Look again when the next of those that wait for a limit has its turn, and not after it:
        what a limit lets out in between would be lost."""
        now = self._clock.monotonic()
        turns = [
            now + decision.delay_seconds
            for _, decision in decided
            if decision.rule.startswith(LIMIT) and decision.delay_seconds
        ]
        self._turn_at = min([*turns, *([self._turn_at] if self._turn_at > now else [])], default=0)

    async def _allowance(self, provider: Provider) -> int:
        """How many messages may be claimed for it now."""
        limit = self._credentials.allowance(provider.name, claimable(provider))
        if not limit:
            return 0
        given = await self._gate.allowance(provider.name, limit)
        if not given:
            self._credentials.unused(provider.name, limit)
        return given

    async def _chosen(
        self, entries: Sequence[Entry], limit: int
    ) -> tuple[Sequence[Sequence[Entry]], list[tuple[Entry, Decision]]]:
        """What goes to the provider now, by call, and what becomes of all else."""
        route = self._route
        provider = route.provider
        capped = await self._capped(entries)
        known, decided = await self._known(entries)  # the last that is asked
        to_send: list[Entry] = []
        paused = self._controls.paused
        now = self._clock.now()
        for entry in known:
            decision = before_sending(
                entry,
                paused,
                provider=route.provider_name,
                keyed=route.keyed,
                key_seconds=route.key_seconds,
                closed=closed_for(
                    self._tenants.get(entry.tenant_id), entry.channel, entry.known.timezone, now
                ),
                full=capped.get(entry.message_id),
            )
            if decision.state is State.CLAIMED:
                to_send.append(entry)
            else:
                decided.append((entry, decision))
        if provider is None:
            return (), decided
        # By the time of a second wave of calls somebody may have opted out or paused: the rest is
        # claimed again, and looked at again. The gate is not asked for it: it would be counted.
        waves = _groups(to_send, provider.batch)
        decided.extend(_back(entry) for group in waves[provider.at_once :] for entry in group)
        first = {entry.message_id for group in waves[: provider.at_once] for entry in group}
        admission = await self._gate.admit(
            provider.name, [entry for entry in to_send if entry.message_id in first]
        )
        decided.extend(_waiting(wait) for wait in admission.wait)
        await self._gate.unused(provider.name, limit - len(admission.go))
        return _groups(admission.go, provider.batch), decided

    async def _known(
        self, entries: Sequence[Entry]
    ) -> tuple[Sequence[Entry], list[tuple[Entry, Decision]]]:
        """The entries with what is known of their leads; and those that have to wait, for
        something was said about their leads before the claim that nobody has read yet."""
        if self._fence is None:
            return entries, []
        # Of a short lease something must be left for the others' call.
        spare = (self._pace.lease_seconds - self._pace.timeout_seconds) / 2
        behind = await self._fence.behind(
            {each.lead_id for each in entries}, min(FENCE_SECONDS, spare)
        )
        ready = [each for each in entries if each.lead_id not in behind]
        later = [(each, _behind(each)) for each in entries if each.lead_id in behind]
        return await self._ledger.look_up(ready), later

    async def _capped(self, entries: Sequence[Entry]) -> Mapping[str, Full]:
        """Those whose leads have had their messages. Where no tenant has a cap nothing is asked."""
        caps = {
            entry.message_id: cap
            for entry in entries
            if (cap := cap_for(self._tenants.get(entry.tenant_id), entry)) is not None
        }
        others = await self._ledger.others(caps) if caps else {}
        asked = ((each, full(caps[each], found)) for each, found in others.items())
        return {message_id: found for message_id, found in asked if found is not None}

    async def _send(
        self, provider: Provider, group: Sequence[Entry], deadline: float
    ) -> list[tuple[Entry, Decision]]:
        if self._clock.monotonic() + self._pace.timeout_seconds > deadline:
            # The lease could end while the provider has them: give them back untouched.
            return [_back(entry) for entry in group]
        started = self._clock.monotonic()
        answers: Sequence[Answer]
        try:
            answers = await provider.send(group)
        except ProviderError as error:
            answers = [error.refused()] * len(group)
        except Exception as error:
            # Ours to mend. It must not take the answers of the calls beside it along, nor come
            # back with the same message and end the process again and again.
            log.exception("a provider could not be used", provider=provider.name, error=error)
            broken = Broken(f"{provider.name}: {type(error).__name__}")
            answers = [broken.refused()] * len(group)
        takes_nothing = self._credentials.heard(provider.name, answers)
        try:
            await self._gate.observe(provider.name, answers)
            if takes_nothing is not None:
                await self._gate.refused(provider.name, takes_nothing)
        except Exception as error:
            if not is_retryable(error):
                raise
            # The gate keeps its count; what was answered has to be written down all the same.
            log.warning("cannot tell the breaker", reason=public_reason(error))
        metrics.PROVIDER_SECONDS.labels(provider.name).observe(self._clock.monotonic() - started)
        refused = sum(isinstance(answer, Refused) for answer in answers)
        metrics.ANSWERS.labels(provider.name, "refused").inc(refused)
        metrics.ANSWERS.labels(provider.name, "accepted").inc(len(answers) - refused)
        return [
            (
                entry,
                after_answer(
                    entry,
                    answer,
                    self._pace.retries,
                    provider=provider.name,
                    keyed=provider.keyed,
                    took_others=self._credentials.took_others(
                        provider.name, refusal_seconds(entry.refusals)
                    ),
                ),
            )
            for entry, answer in zip(group, answers, strict=True)
        ]

    async def _settle(self, decided: Sequence[tuple[Entry, Decision]]) -> None:
        now = self._clock.now()
        outcomes = []
        for entry, decision in decided:
            event = events.of_decision(entry, decision, now, provider=self._route.provider_name)
            outcomes.append(
                Settled(
                    entry=entry,
                    decision=decision,
                    event=None if event is None else self._codec.encode(event),
                )
            )
        ours = await self._ledger.settle(outcomes)
        metrics.LOST_CLAIMS.inc(len(outcomes) - ours)
        for entry, decision in decided:
            metrics.MESSAGES.labels(entry.channel, decision.state).inc()
        self._to_publish.set()


def claimable(provider: Provider) -> int:
    """How many messages a loop claims at a time: no more than go out in one wave of calls."""
    if provider.batch == 1:
        return provider.at_once
    return provider.batch * min(provider.at_once, BATCH_CALLS)


def _back(entry: Entry) -> tuple[Entry, Decision]:
    """To be claimed again as it was, also if it has waited for its turn."""
    return entry, Decision(state=State.QUEUED, rule=entry.rule or "", in_doubt=entry.in_doubt)


def _behind(entry: Entry) -> Decision:
    """To be claimed again when more has been read."""
    return Decision(
        state=State.QUEUED,
        rule="reading_what_was_said",
        delay_seconds=BEHIND_SECONDS,
        in_doubt=entry.in_doubt,
    )


def _waiting(wait: Wait) -> tuple[Entry, Decision]:
    """To be claimed again once the gate may let it through."""
    entry = wait.entry
    return entry, Decision(
        state=State.QUEUED,
        rule=wait.rule,
        delay_seconds=wait.seconds,
        in_doubt=entry.in_doubt,
    )


def _groups(entries: Sequence[Entry], batch: int) -> list[Sequence[Entry]]:
    """First tries together; what has failed before goes alone, so that it holds up nobody. What a
    provider did not look at has not failed."""

    def failed(entry: Entry) -> bool:
        return bool(entry.attempts or entry.refusals or entry.in_doubt)

    again = [entry for entry in entries if failed(entry)]
    first = [entry for entry in entries if not failed(entry)]
    together = [first[start : start + batch] for start in range(0, len(first), batch)]
    return [*together, *([entry] for entry in again)]

"""Asks the rules every half a minute whether something has to be paused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta

import structlog

from leadflow import ids
from leadflow.errors import is_retryable, public_reason
from portal_api.context import Context
from portal_api.incidents import breakers, crm_accounts, desk
from portal_api.incidents.rules import RULES, Count, Opening, Rule, openings
from portal_api.store import incidents as store
from portal_api.store import sequences, signals

log = structlog.get_logger()

# What looks back for long changes slowly, and costs more to count.
SHORT = timedelta(hours=1)
LONG_EVERY_ROUNDS = 10
# A read model so far behind shows failures before the messages that went well.
LARGEST_LAG = 10_000


class Watch:
    """One portal process; several may watch, an incident is opened once."""

    def __init__(
        self,
        context: Context,
        own_rules: Mapping[str, Mapping[str, Rule]],
        behind: Callable[[], int],
        every_seconds: float,
    ) -> None:
        self._context = context
        self._own_rules = own_rules
        self._behind = behind
        self._every_seconds = every_seconds
        self._rounds = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Go round until `stop` is set."""
        while not stop.is_set():
            try:
                await self.round()
            except Exception as error:
                if not is_retryable(error):
                    raise
                log.warning("will look for incidents again", reason=public_reason(error))
            try:
                async with asyncio.timeout(self._every_seconds):
                    await stop.wait()
            except TimeoutError:
                continue

    async def round(self) -> list[Opening]:
        """Say what is unsaid, ask the rules, open what they ask for."""
        context = self._context
        await desk.say(context)
        behind = self._behind()
        if behind > LARGEST_LAG or "projection" in context.health.waiting():
            return []
        now = context.clock.now()
        await breakers.follow(context, now)
        await crm_accounts.follow(context, now)
        names = [name for name in RULES if self._is_asked(name, behind)]
        self._rounds += 1
        counts: list[Count] = []
        async with context.engine.connect() as connection:
            open_already = await store.open_by_rule(connection)
            longest = max(rule.window for rule in RULES.values()) + timedelta(days=7)
            closed = await signals.closed_lately(connection, now, longest)
            for name in names:
                counts += await signals.count(connection, name, RULES[name], now, closed)
            feeds = await signals.feeds(connection)
        found = openings(counts, own_rules=self._own_rules, feeds=feeds, open_already=open_already)
        for each in found:
            owner, workflow = await self._who(each)
            new = desk.New(
                incident_id=ids.derived_id("incident", each.rule, str(each.scope), now.isoformat()),
                kind=each.kind,
                scope=each.scope,
                reason=each.reason,
                owner=owner,
                by=f"rule:{each.rule}",
                workflow=workflow,
                rule=each.rule,
                subject=each.subject,
                evidence=each.evidence,
            )
            if await desk.open_incident(context, new, now):
                log.warning("paused by a rule", rule=each.rule, scope=str(each.scope))
        return found

    def _is_asked(self, name: str, behind: int) -> bool:
        if RULES[name].window > SHORT and self._rounds % LONG_EVERY_ROUNDS:
            return False
        # What has not been read yet is no silence.
        return name != "silence" or behind == 0

    async def _who(self, opening: Opening) -> tuple[str, str]:
        """Who mends it, and which workflow is paused."""
        if opening.scope.kind == "sequence":
            async with self._context.engine.connect() as connection:
                row = await sequences.one(connection, opening.scope.name)
            if row is not None:
                return row["definition"].get("incident_owner") or "ops", row["name"]
        return "ops", ""

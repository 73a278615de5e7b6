"""What is read: messages, what people said, and reviews."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from time import monotonic

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from dispatcher import doubts, events, keywords, ledger, store, suppress, thread_store
from dispatcher.content import Writer
from dispatcher.events import AboutMessage
from dispatcher.facts import facts_of
from dispatcher.keywords import Asked
from dispatcher.model import Arrival
from dispatcher.pace import Wakeup
from dispatcher.reviews import Approve, Refuse, Reject, judge
from dispatcher.thread_store import About
from dispatcher.threads import NO_THREAD, Thread, received
from leadflow.clock import Clock
from leadflow.codec import Codec
from leadflow.kafka.loop import Received, Stateless
from leadflow.records import DoubtSettled, MessageQueued, MessageReviewed

# A template may take a tenth of a second: what is rendered by then is entered, then the rest.
RENDER_SECONDS = 0.25
REJECTED_IN_DOUBT = "rejected by a person after it may have been accepted"


class LeadHandler(Stateless):
    """lead-events, messages and message-reviews of the partitions that one worker owns.

    Returns once the batch is committed to PostgreSQL: the ledger is the durable effect.
    What lead-events say goes in before the messages of the same batch, in a transaction of its
    own: nothing is locked, and the event loop goes on, while templates are rendered.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        codec: Codec,
        clock: Clock,
        writer: Writer,
        *,
        to_send: Wakeup,
        to_publish: Wakeup,
    ) -> None:
        self._engine = engine
        self._codec = codec
        self._clock = clock
        self._writer = writer
        self._to_send = to_send
        self._to_publish = to_publish

    async def handle(self, batch: Sequence[Received]) -> None:
        records = [received.record for received in batch]
        queued = [record for record in records if isinstance(record, MessageQueued)]
        facts, mails = facts_of(records), received(records)
        # Tenant by tenant: in that order everybody locks the heads of their chains.
        reviews = sorted(
            (record for record in records if isinstance(record, MessageReviewed)),
            key=lambda review: review.tenant_id,
        )
        words = sorted(
            (record for record in records if isinstance(record, DoubtSettled)),
            key=lambda word: word.tenant_id,
        )
        asked = keywords.asked(records, self._writer.tenants)
        if not (queued or facts or mails or asked or reviews or words):
            return
        if facts or mails or asked:
            async with self._engine.begin() as connection:
                await self._answer(connection, asked)
                await store.remember(connection, facts)
                if facts:
                    await suppress.tell(connection, self._codec, self._clock.now())
                await thread_store.remember(connection, mails)
        await self._arrive(queued)
        if reviews or words:
            async with self._engine.begin() as connection:
                for review in reviews:
                    await self._review(connection, review)
                await doubts.settled_by_people(connection, words, self._codec, self._clock.now())
        self._to_send.set()
        self._to_publish.set()

    async def _arrive(self, queued: Sequence[MessageQueued]) -> None:
        if not queued:
            return
        async with self._engine.connect() as connection:
            threads = await thread_store.threads_of(
                connection, (_about(each) for each in queued if each.channel == "email")
            )
        done = 0
        while done < len(queued):
            arrivals = await asyncio.to_thread(rendered, self._writer, queued[done:], threads)
            done += len(arrivals)
            async with self._engine.begin() as connection:
                await ledger.arrive(connection, [self._with_event(each) for each in arrivals])
            self._to_send.set()

    async def _answer(self, connection: AsyncConnection, asked: Sequence[Asked]) -> None:
        """Enter the answers to keywords, while the lists are still as the keywords found them."""
        tenants = self._writer.tenants
        await thread_store.alone_with(connection, asked)
        # One keyword of each address at a time: the second STOP finds the answer to the first.
        for some in keywords.in_turn(asked):
            before = await thread_store.stopped_before(connection, some)
            arrivals = [
                keywords.arrival(
                    each,
                    tenants[each.tenant_id],
                    self._writer,
                    again=each.message_id in before,
                )
                for each in some
            ]
            await ledger.arrive(connection, [self._with_event(each) for each in arrivals])

    def _with_event(self, arrival: Arrival) -> tuple[Arrival, bytes | None]:
        if arrival.rule is None:
            return arrival, None
        now = self._clock.now()
        held = events.held(arrival, arrival.rule, arrival.inputs, now, epoch=0)
        return arrival, self._codec.encode(held)

    async def _review(self, connection: AsyncConnection, review: MessageReviewed) -> None:
        found = await store.held_message(connection, review.tenant_id, review.message_id)
        if found is None:
            return  # nothing waits for this word, or it has been heard before
        message, rule, epoch, sha256, made_of, in_doubt = found
        threads = await thread_store.threads_of(connection, [_about(message)])
        thread = threads.get(message.message_id, NO_THREAD)
        judgement = await asyncio.to_thread(
            judge, review, message, rule, sha256, self._writer, thread, made_of
        )
        now = self._clock.now()
        match judgement:
            case Approve():
                await store.approve(connection, review.message_id, judgement.content)
            case Reject():
                await store.reject(connection, review.message_id)
                event = (
                    events.unknown(message, REJECTED_IN_DOUBT, now)
                    if in_doubt
                    else events.suppressed(message, "rejected", judgement.inputs, now)
                )
                await store.tell(connection, [(message.lead_id, self._codec.encode(event))])
            case Refuse():
                held = events.held(
                    message,
                    judgement.rule,
                    judgement.inputs,
                    now,
                    epoch=epoch,
                    cause=review.event_id,
                )
                await store.tell(connection, [(message.lead_id, self._codec.encode(held))])


def rendered(
    writer: Writer, queued: Sequence[MessageQueued], threads: Mapping[str, Thread]
) -> list[Arrival]:
    """The first of the messages as they enter the ledger: at least one, and as many as are
    rendered in RENDER_SECONDS. Raises RecordRefused."""
    until, arrivals = monotonic() + RENDER_SECONDS, list[Arrival]()
    for each in queued:
        arrivals.append(writer.arrive(each, threads.get(each.message_id, NO_THREAD)))
        if monotonic() >= until:
            break
    return arrivals


def _about(message: AboutMessage) -> About:
    return About(message.message_id, message.lead_id, message.enrollment_id)

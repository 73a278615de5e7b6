"""The composition root: settings, clients, loops, shutdown."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from contextlib import AsyncExitStack
from functools import partial

from dispatcher.breaker_news import teller
from dispatcher.controls import Controls
from dispatcher.credentials import Credentials
from dispatcher.engagement_apply import CallbackApplier, CallbackHandler, decode_callback
from dispatcher.fence import Fence, Followed
from dispatcher.halt_store import HaltHandler
from dispatcher.halts import is_wanted
from dispatcher.intake import LeadHandler
from dispatcher.ledger import Ledger
from dispatcher.lists import ListHandler
from dispatcher.model import RECORDED_CHANNELS
from dispatcher.outbox import Publisher
from dispatcher.pace import Wakeup
from dispatcher.providers.base import Around
from dispatcher.releases import Releases
from dispatcher.settings import Settings
from dispatcher.shared_gate import SharedGate
from dispatcher.upkeep import Upkeep
from dispatcher.worker import Route, Sender
from leadflow import database, topics
from leadflow.clock import SystemClock
from leadflow.health import Health
from leadflow.kafka.compacted import CompactedTopic
from leadflow.kafka.confluent import ConfluentConsumer, ConfluentProducer
from leadflow.kafka.dead_letters import DeadLetters
from leadflow.kafka.loop import ConsumerLoop
from leadflow.kafka.progress import GroupProgress
from leadflow.service import codec_for, run_all
from leadflow.settings import Environment, ServiceSettings

SERVICE = "dispatcher"
HEALTH_PORT = 8093
CONTROLS = topics.AUTOMATION_CONTROLS.name
LISTS = topics.SUPPRESSIONS.name
ENROLLMENTS = topics.ENROLLMENT_EVENTS.name
# Most of what is in it says nothing to us: so many are passed over at a time.
ENROLLMENTS_BATCH = 5_000
PARTS = ("messages", "callbacks", "lists", "enrollments", "publisher", "upkeep", CONTROLS)
# Topics whose partition numbers one worker must own together.
LEAD_TOPICS = (topics.LEAD_EVENTS.name, topics.MESSAGES.name, topics.MESSAGE_REVIEWS.name)


def routes_of(settings: Settings, around: Around) -> list[Route]:
    """The loops of one process: e-mail several times, the other channels once each."""
    loops = {"email": settings.email_workers}
    return [
        *(
            Route(channel=channel, provider=account.open(around))
            for channel, account in settings.providers.items()
            for _ in range(loops.get(channel, 1))
        ),
        *(Route(channel=channel, provider=None) for channel in sorted(RECORDED_CHANNELS)),
    ]


async def main(
    service: ServiceSettings, env: Environment, health: Health, stop: asyncio.Event
) -> None:
    """Run the dispatcher until `stop` is set."""
    settings = Settings.read(env)
    await asyncio.to_thread(database.migrate, SERVICE, settings.database_url)
    bootstrap, clock, codec = service.kafka_bootstrap, SystemClock(), codec_for(service)
    worker = f"{socket.gethostname()}:{os.getpid()}"
    to_send, to_publish = Wakeup(), Wakeup()
    async with AsyncExitStack() as stack:
        # Every loop may hold a connection, a sender's provider one more.
        engine = database.engine(settings.database_url, pool_size=2 * settings.senders + 5)
        stack.push_async_callback(engine.dispose)
        routes = routes_of(
            settings,
            Around(timeout_seconds=settings.pace.timeout_seconds, clock=clock, engine=engine),
        )
        producer = ConfluentProducer(bootstrap, SERVICE)
        stack.push_async_callback(producer.close)
        for route in routes:
            if route.provider is not None:
                stack.push_async_callback(route.provider.close)
        controls = Controls(codec)
        followed = CompactedTopic(
            bootstrap, CONTROLS, controls.apply, client_id=SERVICE, health=health
        )
        stack.push_async_callback(followed.close)
        await followed.start()
        health.ready(CONTROLS)

        ledger = Ledger(engine, worker)
        applier = CallbackApplier(codec, clock, to_publish, settings.tenants)
        dead_letters = DeadLetters(SERVICE, producer, clock)
        messages = ConsumerLoop(
            name="messages",
            consumer=ConfluentConsumer(bootstrap, settings.group, client_id=SERVICE),
            topics=LEAD_TOPICS,
            decode=lambda message: codec.decode(message.value),
            handler=LeadHandler(
                engine, codec, clock, settings.writer, to_send=to_send, to_publish=to_publish
            ),
            dead_letters=dead_letters,
            clock=clock,
            health=health,
            max_batch=settings.batch,
        )
        callbacks = ConsumerLoop(
            name="callbacks",
            consumer=ConfluentConsumer(bootstrap, f"{settings.group}-callbacks", client_id=SERVICE),
            topics=(topics.RAW_EVENTS.name,),
            decode=partial(decode_callback, codec),
            handler=CallbackHandler(engine, applier),
            dead_letters=dead_letters,
            clock=clock,
            health=health,
            max_batch=settings.batch,
        )
        lists = ConsumerLoop(
            name="lists",
            consumer=ConfluentConsumer(bootstrap, f"{settings.group}-lists", client_id=SERVICE),
            topics=(LISTS,),
            decode=lambda message: codec.decode(message.value),
            handler=ListHandler(engine),
            dead_letters=dead_letters,
            clock=clock,
            health=health,
            max_batch=settings.batch,
        )
        enrollments = ConsumerLoop(
            name="enrollments",
            consumer=ConfluentConsumer(
                bootstrap, f"{settings.group}-enrollments", client_id=SERVICE
            ),
            topics=(ENROLLMENTS,),
            wanted=lambda message: is_wanted(codec.type_of(message.value)),
            decode=lambda message: codec.decode(message.value),
            handler=HaltHandler(engine),
            dead_letters=dead_letters,
            clock=clock,
            health=health,
            max_batch=ENROLLMENTS_BATCH,
        )
        credentials = Credentials(
            clock, [each.provider.name for each in routes if each.provider is not None]
        )
        gate = SharedGate(
            engine,
            settings.limits,
            settings.breaker,
            told=teller(codec),
            clock=clock,
            to_publish=to_publish,
        )
        await gate.begin()
        fence = Fence(
            [
                GroupProgress(bootstrap, settings.group, topics.LEAD_EVENTS.name),
                GroupProgress(bootstrap, f"{settings.group}-enrollments", ENROLLMENTS),
            ],
            [
                GroupProgress(bootstrap, f"{settings.group}-lists", LISTS),
                Followed(followed, GroupProgress(bootstrap, settings.group, CONTROLS)),
            ],
            clock,
        )
        senders = [
            Sender(
                route,
                ledger=ledger,
                controls=controls,
                codec=codec,
                clock=clock,
                health=health,
                pace=settings.pace,
                to_send=to_send,
                to_publish=to_publish,
                gate=gate,
                fence=fence,
                credentials=credentials,
                tenants=settings.tenants,
            )
            for route in routes
        ]
        publisher = Publisher(engine, producer, clock, health, to_publish)
        upkeep = Upkeep(
            engine,
            ledger,
            controls,
            applier,
            Releases(engine, settings.writer),
            gate=gate,
            credentials=credentials,
            codec=codec,
            clock=clock,
            health=health,
            to_send=to_send,
            tenants=settings.tenants,
        )
        # What is here by now stays: looking through it for cycles again and again is waste, and a
        # pause for everybody.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        await run_all(
            stop,
            messages.run(stop),
            callbacks.run(stop),
            publisher.run(stop),
            upkeep.run(stop),
            lists.run(stop),
            enrollments.run(stop),
            *(sender.run(stop) for sender in senders),
        )

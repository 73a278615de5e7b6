"""The composition root of intake: settings, clients, two loops, forgetting, shutdown."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial

from intake.forgetting import Forgetting
from intake.handler import IntakeHandler
from intake.store import Store
from leadflow import database, tenants, topics
from leadflow.clock import SystemClock
from leadflow.codec import Codec
from leadflow.errors import CodecError
from leadflow.health import Health
from leadflow.kafka.confluent import ConfluentConsumer, ConfluentProducer
from leadflow.kafka.dead_letters import DeadLetters
from leadflow.kafka.loop import ConsumerLoop
from leadflow.kafka.port import Message
from leadflow.raw_json import decode_raw_event
from leadflow.records import Record, Tick
from leadflow.service import codec_for, run_all
from leadflow.settings import Environment, ServiceSettings

SERVICE = "intake"
RAW_EVENTS, MESSAGES = topics.RAW_EVENTS.name, topics.MESSAGES.name
PARTS = (RAW_EVENTS, MESSAGES)
_NEVER = datetime.fromtimestamp(0, UTC)
PASSED_OVER = Tick(
    event_id="", tenant_id="", occurred_at=_NEVER, recorded_at=_NEVER, source="", partition=0
)


def decode(codec: Codec, message: Message) -> Record:
    """A raw event, or a message that was queued. A message that cannot be read is the
    dispatcher's to bury: here it is passed over. Raises CodecError."""
    if message.topic != MESSAGES:
        return decode_raw_event(codec, message)
    try:
        return codec.decode(message.value)
    except CodecError:
        return PASSED_OVER


async def main(
    settings: ServiceSettings, env: Environment, health: Health, stop: asyncio.Event
) -> None:
    """Consume raw-events, and whose messages were queued, until `stop` is set."""
    database_url = env.url("DATABASE_URL")
    group = env.text("GROUP", SERVICE)
    batch = env.integer("BATCH", 500, at_least=1)
    # As long as a tenant's leads are remembered by the sequencer, unless it says otherwise.
    answerable_days = env.integer("ANSWERABLE_DAYS", 400, at_least=30)
    tenants_file = env.text("TENANTS_FILE", "")
    known_tenants = tenants.load(env.path("TENANTS_FILE") if tenants_file else None)
    await asyncio.to_thread(database.migrate, "intake", database_url)
    codec = codec_for(settings)
    clock = SystemClock()
    engine = database.engine(database_url, pool_size=3)
    producer = ConfluentProducer(settings.kafka_bootstrap, SERVICE)
    store = Store(engine)
    handler = IntakeHandler(
        codec=codec, store=store, producer=producer, tenants=known_tenants, clock=clock
    )

    def loop(topic: str, of_group: str) -> ConsumerLoop:
        return ConsumerLoop(
            name=topic,
            consumer=ConfluentConsumer(
                settings.kafka_bootstrap,
                of_group,
                client_id=SERVICE,
                assignor="cooperative-sticky",
            ),
            topics=[topic],
            decode=partial(decode, codec),
            handler=handler,
            dead_letters=DeadLetters(SERVICE, producer, clock),
            clock=clock,
            health=health,
            max_batch=batch,
        )

    try:
        # A group each: an assignment over both topics would balance their sum, and could give all
        # of the work to one worker and all of the reading to the other.
        await run_all(
            stop,
            loop(RAW_EVENTS, group).run(stop),
            loop(MESSAGES, f"{group}-messages").run(stop),
            Forgetting(store, clock, days=answerable_days).run(stop),
        )
    finally:
        await producer.close()
        await engine.dispose()

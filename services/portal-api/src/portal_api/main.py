"""The composition root: settings, clients, the projection and the HTTP server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import uvicorn

from leadflow import tenants, topics
from leadflow.clock import SystemClock
from leadflow.errors import LeadflowError
from leadflow.health import Health
from leadflow.kafka.confluent import ConfluentConsumer, ConfluentProducer
from leadflow.kafka.dead_letters import DeadLetters
from leadflow.kafka.loop import ConsumerLoop
from leadflow.service import codec_for, run_all
from leadflow.settings import Environment, ServiceSettings
from portal_api import sightings
from portal_api.api.app import make_app
from portal_api.bulk.runner import BulkRunner
from portal_api.client import ClientReader
from portal_api.context import Context
from portal_api.decode import decoder
from portal_api.incidents import rules
from portal_api.incidents.watch import Watch
from portal_api.letters.runner import LetterRunner
from portal_api.letters.source import KafkaLetters
from portal_api.live import Broadcaster
from portal_api.projections.handler import Projection
from portal_api.publish import publish_library
from portal_api.settings import PortalSettings
from portal_api.store.connection import engine
from portal_api.store.models import ReadModels
from portal_api.suppression.importing import ImportRunner
from portal_api.webhooks.secrets import WebhookSecrets

log = structlog.get_logger()

PARTS = ("projection", "http", "library")
LARGEST_BATCH = 2000
# A page may be a moment behind; a transaction for each handful of records may not pay.
GATHER_MS = 100
# What this process is told to read: everything but clocks and the CRM's waiting room.
PROJECTED = tuple(topic.name for topic in topics.ALL if "portal-api" in topic.consumers)
GRACE_SECONDS = 2


class PortTaken(LeadflowError):
    """The portal's port cannot be listened on."""


class Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the frame of the service has them."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def main(
    settings: ServiceSettings, env: Environment, health: Health, stop: asyncio.Event
) -> None:
    portal = PortalSettings.read(env)
    clock = SystemClock()
    codec = codec_for(settings)
    known = tenants.load(portal.tenants_file)
    own_rules = rules.for_tenants(known.values())
    database = engine(portal.database_url)
    client_database = engine(portal.client_database_url, pool_size=4)
    producer = ConfluentProducer(settings.kafka_bootstrap, "portal-api")
    broadcaster = Broadcaster()
    consumer = ConfluentConsumer(
        settings.kafka_bootstrap,
        portal.group,
        client_id="portal-api",
        assignor="cooperative-sticky",
        gather_ms=GATHER_MS,
    )
    loop = ConsumerLoop(
        name="projection",
        consumer=consumer,
        topics=PROJECTED,
        decode=decoder(codec),
        handler=Projection(ReadModels(database), broadcaster),
        dead_letters=DeadLetters("portal-api", producer, clock),
        clock=clock,
        health=health,
        max_batch=LARGEST_BATCH,
        # Every row knows a repeat, and what was unreadable before may be readable by now.
        all_replays=True,
    )
    letters = KafkaLetters(settings.kafka_bootstrap)
    context = Context(
        engine=database,
        client=ClientReader(client_database),
        producer=producer,
        codec=codec,
        clock=clock,
        health=health,
        broadcaster=broadcaster,
        tenants=known,
        secret=portal.secret,
        links=portal.links,
        stopping=stop,
        webhook_secrets=WebhookSecrets.read(env, known),
        public_url=portal.public_url,
        bare_links_before=portal.bare_links_before,
        letters=letters,
    )
    watch = Watch(
        context,
        own_rules,
        behind=lambda: sum(consumer.lag().values()),
        every_seconds=portal.incident_seconds,
    )
    server = Server(
        uvicorn.Config(
            make_app(context),
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )

    async def publish() -> None:
        await publish_library(
            folder=portal.library,
            tenants=known,
            bootstrap=settings.kafka_bootstrap,
            producer=producer,
            codec=codec,
            clock=clock,
            health=health,
        )
        health.ready("library")
        await stop.wait()
        broadcaster.close()

    try:
        await run_all(
            stop,
            loop.run(stop),
            serve(server, portal.host, portal.port, health, stop),
            publish(),
            BulkRunner(context).run(stop),
            sightings.publish(context, stop),
            ImportRunner(context).run(stop),
            LetterRunner(context).run(stop),
            watch.run(stop),
        )
    finally:
        await letters.close()
        await producer.close()
        await database.dispose()
        await client_database.dispose()


async def serve(
    server: uvicorn.Server, host: str, port: int, health: Health, stop: asyncio.Event
) -> None:
    """Serve until `stop`. Raises PortTaken if somebody else listens there."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise PortTaken(f"cannot listen on {host}:{port}: {error.strerror}") from error
    health.ready("http")
    serving = asyncio.ensure_future(server.serve([listener]))
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        health.not_ready("http", "stopped")
        stopping.cancel()
        server.should_exit = True
        await serving

"""The composition root of crm-sync."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from crm_sync import headers
from crm_sync.account_store import AccountStore, Registered
from crm_sync.changes import CrmChange
from crm_sync.crm.providers import Access
from crm_sync.gates import Gates
from crm_sync.handler import RETRY_TOPICS, RetryHandler, SyncHandler, Tools
from crm_sync.keeper import Keeper
from crm_sync.looking import Looker
from crm_sync.notice_store import NoticeStore
from crm_sync.notices import NoticeHandler
from crm_sync.reports import Reports
from crm_sync.routing import Connections, Router
from crm_sync.sealing import Sealer
from crm_sync.settings import retry_policy
from crm_sync.store import Store
from leadflow import database, service, tenants, topics
from leadflow.clock import SystemClock
from leadflow.codec import Codec
from leadflow.health import Health
from leadflow.kafka.confluent import ConfluentConsumer, ConfluentProducer
from leadflow.kafka.dead_letters import DeadLetters
from leadflow.kafka.loop import ConsumerLoop
from leadflow.kafka.port import Message
from leadflow.records import Record
from leadflow.settings import Environment, ServiceSettings

SERVICE = "crm-sync"
# The CRM may be a moment behind; larger batches are what keeps it from falling further behind.
GATHER_MS = 100
SOURCES = (
    topics.LEAD_EVENTS.name,
    topics.ENROLLMENT_EVENTS.name,
    topics.MESSAGE_EVENTS.name,
    topics.SUMMARIES.name,
)
# How long a record that was parked waits for room in its account's budget of calls.
BUDGET_PATIENCE = timedelta(seconds=5)
NOTICES = topics.CRM_NOTICES.name
PARTS = (SERVICE, *RETRY_TOPICS, NOTICES)


async def main(
    settings: ServiceSettings, env: Environment, health: Health, stop: asyncio.Event
) -> None:
    """Run until `stop`; see the settings in services/crm-sync/README.md."""
    group = env.text("GROUP", SERVICE)
    policy = retry_policy(env)
    max_batch = env.integer("CRM_BATCH", 500, at_least=1)
    crm_url = env.url("CRM_URL", "http://127.0.0.1:8081/crm")
    crm_timeout = env.number("CRM_TIMEOUT_SECONDS", 10)
    database_url = env.url("DATABASE_URL")
    canary_every = timedelta(seconds=env.number("CRM_CANARY_SECONDS", 60))
    notice_wait = timedelta(seconds=env.number("CRM_NOTICE_SECONDS", 2))
    known_tenants = tenants.load(env.path("TENANTS_FILE") if env.text("TENANTS_FILE", "") else None)
    account_secret = env.text("ACCOUNT_SECRET", "")
    sealer = Sealer.read(account_secret) if account_secret else None

    await asyncio.to_thread(database.migrate, "crm_sync", database_url)
    clock = SystemClock()
    codec = service.codec_for(settings)
    engine = database.engine(database_url)
    default = Access(url=crm_url, timeout_seconds=crm_timeout)
    # Fresh records of other accounts do not wait for the room of one; those that were parked do,
    # or of the calls that an account may get only those at once would be used.
    at_once, in_turn = (
        Connections(default, sealer, clock, crm_timeout, Gates(engine, clock, patience))
        for patience in (timedelta(0), BUDGET_PATIENCE)
    )
    producer = ConfluentProducer(settings.kafka_bootstrap, SERVICE)
    store = Store(engine, clock)
    accounts = AccountStore(engine, clock)
    notices = NoticeStore(engine, clock)
    reports = Reports(codec, clock, known_tenants)

    async def tell(row: Registered) -> None:
        await producer.send([reports.of_account(row)])

    async def tell_changes(changes: Sequence[CrmChange]) -> None:
        await producer.send([reports.of_change(change) for change in changes])

    keeper = Keeper(accounts, at_once, tell, canary_every)
    looker = Looker(notices, accounts, in_turn, tell_changes, clock)
    dead_letters = DeadLetters(SERVICE, producer, clock)

    def tools(connections: Connections) -> Tools:
        router = Router(store, accounts, connections)
        return Tools(store, router, producer, dead_letters, policy, clock, router, reports)

    sync, retry = SyncHandler(tools(at_once)), RetryHandler(tools(in_turn))

    def consumer(name: str) -> ConfluentConsumer:
        return ConfluentConsumer(
            settings.kafka_bootstrap, name, client_id=SERVICE, gather_ms=GATHER_MS
        )

    loops = [
        ConsumerLoop(
            name=SERVICE,
            consumer=consumer(group),
            topics=SOURCES,
            decode=lambda message: codec.decode(message.value),
            handler=sync,
            dead_letters=dead_letters,
            clock=clock,
            health=health,
            max_batch=max_batch,
        ),
        ConsumerLoop(
            name=NOTICES,
            consumer=consumer(f"{group}-notices"),
            topics=[NOTICES],
            decode=lambda message: codec.decode(message.value),
            handler=NoticeHandler(notices, accounts, notice_wait),
            dead_letters=dead_letters,
            clock=clock,
            health=health,
            max_batch=max_batch,
        ),
        *(
            ConsumerLoop(
                name=topic,
                consumer=consumer(group + topic.removeprefix(SERVICE)),
                topics=[topic],
                decode=lambda message: _decode_retry(codec, message),
                handler=retry,
                dead_letters=dead_letters,
                clock=clock,
                health=health,
                max_batch=max_batch,
                gate=headers.due_at,
            )
            for topic in RETRY_TOPICS
        ),
    ]
    try:
        await service.run_all(
            stop, *(loop.run(stop) for loop in loops), keeper.run(stop), looker.run(stop)
        )
    finally:
        await producer.close()
        await at_once.close()
        await in_turn.close()
        await engine.dispose()


def _decode_retry(codec: Codec, message: Message) -> Record:
    headers.read(message)
    return codec.decode(message.value)

"""The composition root: settings, clients, views, worker, shutdown."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import structlog

from leadflow import tenants, topics
from leadflow.clock import SystemClock
from leadflow.errors import SettingError, public_reason
from leadflow.health import Health
from leadflow.kafka.compacted import CompactedTopic
from leadflow.kafka.confluent import ConfluentProducer
from leadflow.service import codec_for
from leadflow.settings import Environment, ServiceSettings
from leadflow.tenants import Tenant
from sequencer.app import PART, Worker, WorkerSettings
from sequencer.decide import calendar
from sequencer.folder import only_ours
from sequencer.lease import Lease, make_switch
from sequencer.member import LEASE_SECONDS
from sequencer.model import Setting
from sequencer.pauses import AutomationPauses
from sequencer.rocks import DEFAULT_MEMORY_MB
from sequencer.sequences import PublishedSequences

log = structlog.get_logger()

PARTS = (topics.SEQUENCE_DEFINITIONS.name, topics.AUTOMATION_CONTROLS.name, PART)


def spare_the_collector() -> None:
    """Look for reference cycles rarely.

    What is alive now stays; what flows through is freed by counting references. Looking for
    cycles as often as Python does by default costs a tenth of the rate.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def check_calendars(known: Mapping[str, Tenant]) -> None:
    """Raises SettingError for hours or holidays that no decision could be made by."""
    for tenant in known.values():
        try:
            calendar.Hours(0, 1440, holidays=tenant.holidays)
            for hours in tenant.send_hours.values():
                calendar.parse_hours(hours)
        except ValueError as error:
            raise SettingError(f"tenant {tenant.tenant_id}: {error}") from error


async def main(
    settings: ServiceSettings, env: Environment, health: Health, stop: asyncio.Event
) -> None:
    """Run one worker until `stop` is set."""
    spare_the_collector()
    # Their debug records are made before they are thrown away: a quarter of the time.
    for name in ("aiokafka", "faust", "mode"):
        logging.getLogger(name).setLevel(logging.WARNING)
    group = env.text("GROUP", "sequencer")
    data_dir = env.path("DATA_DIR", str(Path(tempfile.gettempdir()) / "leadflow-sequencer"))
    folder = only_ours(data_dir)
    tenants_file = env.text("TENANTS_FILE", "")
    known = tenants.load(Path(tenants_file) if tenants_file else None)
    check_calendars(known)
    codec = codec_for(settings)
    clock = SystemClock()
    sequences = PublishedSequences(codec)
    pauses = AutomationPauses(codec)
    views = [
        CompactedTopic(settings.kafka_bootstrap, topic.name, apply, client_id=group, health=health)
        for topic, apply in (
            (topics.SEQUENCE_DEFINITIONS, sequences.apply),
            (topics.AUTOMATION_CONTROLS, pauses.apply),
        )
    ]
    producer = ConfluentProducer(settings.kafka_bootstrap, group)
    try:
        for view in views:
            await view.start()
        for name in PARTS[:2]:
            health.ready(name)
        worker = Worker(
            WorkerSettings(
                group=group,
                data_dir=data_dir,
                bootstrap=settings.kafka_bootstrap,
                replication=env.integer("REPLICATION", 1, at_least=1),
                memory_mb=env.integer("SEQUENCER_MEMORY_MB", DEFAULT_MEMORY_MB, at_least=32),
            ),
            codec=codec,
            producer=producer,
            sequences=sequences,
            pauses=pauses,
            setting=Setting(
                sequences,
                pauses,
                known,
            ),
            clock=clock,
            health=health,
            lease=Lease(LEASE_SECONDS, make_switch()),
        )
        try:
            await worker.run(stop)
        except Exception as error:
            # Faust's threads would keep a failed process half alive, in the group and useless.
            log.error("ended", reason=public_reason(error), exc_info=error)
            os._exit(1)
    finally:
        for view in views:
            await view.close()
        await producer.close()
        folder.close()

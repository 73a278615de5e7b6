"""The frame around every service: settings, logs, health, signals, exit codes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import structlog
import uvloop

from leadflow import logs
from leadflow.codec import Codec
from leadflow.errors import DatabaseDown, LeadflowError, SettingError, public_reason
from leadflow.health import Health, HealthServer, start_watchdog
from leadflow.registry import ConfluentRegistry
from leadflow.settings import Environment, ServiceSettings

log = structlog.get_logger()

# How long a service waits for its database before it asks again: twice as long each time.
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.5, 15.0
DATABASE = "database"

Main = Callable[[ServiceSettings, Environment, Health, asyncio.Event], Awaitable[None]]


def codec_for(settings: ServiceSettings) -> Codec:
    """Single-object framing, or Confluent's when a registry is configured."""
    url = settings.schema_registry_url
    return Codec(ConfluentRegistry(url) if url else None)


def run(service: str, main: Main, *, health_port: int | None, parts: tuple[str, ...]) -> None:
    """Run `main(settings, env, health, stop)` until SIGTERM or SIGINT sets `stop`.

    `health_port` None is for a service that answers for its health on a server of its own.
    Ready once every one of `parts` is. Exits with 0 after a drain, 2 on a wrong setting,
    1 on anything else. While the database is down at start it is asked again and again.
    """
    env = Environment(os.environ)
    try:
        settings = ServiceSettings.read(service, env, health_port=health_port or 0)
        logs.configure(service, settings.log_level)
        uvloop.run(_serve(settings, env, main, parts, own_server=health_port is None))
    except SettingError as error:
        print(f"{service}: {error}", file=sys.stderr)  # noqa: T201
        raise SystemExit(2) from None
    except LeadflowError as error:
        log.error("ended", reason=public_reason(error), error=type(error).__name__)
        raise SystemExit(1) from None


async def _serve(
    settings: ServiceSettings,
    env: Environment,
    main: Main,
    parts: tuple[str, ...],
    *,
    own_server: bool,
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    health = Health(parts)
    server = None
    if not own_server:
        server = HealthServer(health, settings.health_host, settings.health_port)
    start_watchdog(health, settings.watchdog_seconds)
    log.info("started", health_port=None if server is None else server.port)
    try:
        await begun(partial(main, settings, env, health, stop), health, stop)
    finally:
        if server is not None:
            server.close()
    log.info("stopped")


async def begun(main: Callable[[], Awaitable[None]], health: Health, stop: asyncio.Event) -> None:
    """Run `main`, again and again while its database is down, as Kafka is waited for, until
    `stop` is set. It migrates before it opens anything, so that nothing is left behind."""
    wait = FIRST_WAIT_SECONDS
    while not stop.is_set():
        try:
            await main()
        except DatabaseDown as error:
            reason = public_reason(error)
        else:
            return
        health.not_ready(DATABASE, reason)
        log.warning("will look for the database again", reason=reason, seconds=wait)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), wait)
        wait = min(2 * wait, LONGEST_WAIT_SECONDS)
        health.ready(DATABASE)


async def run_all(stop: asyncio.Event, *jobs: Awaitable[None]) -> None:
    """Run jobs side by side; when one ends or fails, stop the others and pass its error on."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result

"""How soon a reply that the portal took stops everything: milliseconds until no message can go.

    python bench/halting.py [--replies 300] [--rate 20] [--load 30]

Starts a whole leadflow of its own on free ports of 127.0.0.1, with `--load` leads a second coming
in beside, each with a first e-mail. `--replies` of them answer, one after the other, through the
portal's webhook. Measured from when the portal has answered 202: until the reply stands in
`lead-events` (from then on the dispatcher's fence lets no message of that lead be called for whose
claim is later), and until the dispatcher's own table has the stop. What was accepted after that is
counted: it has to be none.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import confluent_kafka
import httpx
from _figures import figure, percentiles
from end_to_end import ROOT, TENANT, accepted, lead, producer, wait_for
from sqlalchemy import text

from leadflow import database, ids, topics
from leadflow.codec import Codec
from leadflow.records import ReplyReceived
from leadflow_cli.home import require_running
from leadflow_cli.ports import Ports
from leadflow_cli.stack import Stack
from leadflow_cli.targets import ask_portal


class Log:
    """When each lead's reply was read from lead-events, on a thread of its own."""

    def __init__(self, bootstrap: str) -> None:
        self.seen: dict[str, float] = {}
        self._stop = threading.Event()
        self._consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": f"bench-{uuid4()}",
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 5,
            }
        )
        self._consumer.subscribe([topics.LEAD_EVENTS.name])
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        codec = Codec()
        while not self._stop.is_set():
            for message in self._consumer.consume(500, 0.05):
                if message.error() is None and isinstance(
                    record := codec.decode(message.value()), ReplyReceived
                ):
                    self.seen.setdefault(record.lead_id, time.time())
        self._consumer.close()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


async def stops_known(url: str, wanted: int, known: dict[str, float], stop: asyncio.Event) -> None:
    """Note when the dispatcher's table has each stop; looks every 2 ms."""
    engine = database.engine(url, pool_size=1)
    try:
        async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            while len(known) < wanted and not stop.is_set():
                rows = await connection.execute(
                    text("SELECT lead_id FROM dispatcher.stops WHERE stop = 'reply'")
                )
                now = time.time()
                for row in rows:
                    known.setdefault(row.lead_id, now)
                await asyncio.sleep(0.002)
    finally:
        await engine.dispose()


async def replying(
    stack: Stack, key: str, people: Sequence[str], rate: float
) -> tuple[dict[str, float], dict[str, float]]:
    """By lead: when the portal had taken the reply, and when the dispatcher knew."""
    taken: dict[str, float] = {}
    known: dict[str, float] = {}
    stop = asyncio.Event()
    watching = asyncio.create_task(stops_known(stack.database_url, len(people), known, stop))
    async with httpx.AsyncClient(
        base_url=stack.portal_url, headers={"Authorization": f"Bearer {key}"}, timeout=30
    ) as portal:
        for name in people:
            event = {
                "event_id": f"reply-{name}",
                "tenant_id": TENANT,
                "kind": "reply",
                "external_id": f"reply-{name}",
                "occurred_at": datetime.now(UTC).isoformat(),
                "payload": {
                    "from": f"{name}@example.com",
                    "channel": "email",
                    "text": "Please call me instead.",
                },
            }
            (await portal.post("/api/v1/webhooks/bench", json=event)).raise_for_status()
            taken[ids.lead_id(TENANT, "bench", name)] = time.time()
            await asyncio.sleep(1 / rate)
    try:
        async with asyncio.timeout(60):
            await watching
    except TimeoutError:
        stop.set()
        await watching
        raise SystemExit(f"the dispatcher knows of {len(known)} of {len(people)} replies") from None
    return taken, known


def load(bootstrap: str, run: str, rate: float, ended: threading.Event) -> None:
    writer, number = producer(bootstrap), 0
    while not ended.wait(1 / rate):
        key, value = lead(number, run)
        writer.produce(topics.RAW_EVENTS.name, value, key)
        writer.poll(0)
        number += 1
    writer.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--replies", type=int, default=300)
    parser.add_argument("--rate", type=float, default=20.0, help="replies a second")
    parser.add_argument("--load", type=float, default=30.0, help="leads a second beside")
    options = parser.parse_args()
    environment: dict[str, Any] = {
        **os.environ,
        "LEADFLOW_TENANTS_FILE": str(ROOT / "demo/tenants.toml"),
    }
    with (
        tempfile.TemporaryDirectory(prefix="leadflow-bench-") as folder,
        Stack(Path(folder), name="bench", ports=Ports.free(), environment=environment) as stack,
        httpx.Client(base_url=stack.sandbox_url, timeout=60) as sandbox,
    ):
        run = f"h{time.time_ns()}"
        writer = producer(stack.kafka_bootstrap)
        people = [f"{run}-{number}" for number in range(options.replies)]
        for number in range(options.replies):
            key, value = lead(number, run)
            writer.produce(topics.RAW_EVENTS.name, value, key)
            writer.poll(0)
        writer.flush()
        wait_for(sandbox, options.replies, 120)
        log, ended = Log(stack.kafka_bootstrap), threading.Event()
        beside = threading.Thread(
            target=load, args=(stack.kafka_bootstrap, f"l{run}", options.load, ended)
        )
        beside.start()
        try:
            running = require_running(stack.home)
            api_key = ask_portal(running, environment, "token", "--role", "ops")
            taken, known = asyncio.run(replying(stack, api_key, people, options.rate))
        finally:
            ended.set()
            beside.join()
            log.close()
        late = sum(
            datetime.fromisoformat(item["accepted_at"]).timestamp()
            > known[ids.lead_id(TENANT, "bench", str(item["to"]).removesuffix("@example.com"))]
            for item in accepted(sandbox, run, 0)
        )
    print(f"{len(taken)} replies, {options.load:.0f} leads/s beside; from the portal's 202")
    for where, seen in (("in lead-events", log.seen), ("in the dispatcher", known)):
        waited = percentiles([seen[each] - at for each, at in taken.items()])
        print(f"  {where}: {waited}")
        figure(f"reply taken until it stands {where}", waited)
    print(f"  accepted after its stop was known: {late}")
    figure("sent after the stop of a reply was known", str(late), "0", not late)
    if late:
        raise SystemExit(1)


if __name__ == "__main__":
    main()

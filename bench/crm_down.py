"""A tenant's CRM that is down: what it does to the others' changes, and how it is caught up.

    python bench/crm_down.py [--rate 60] [--seconds 30]

Changes of two tenants come at a steady rate, half of each; one has an account of its own, which may
get 20 calls in 10 seconds. First all is well; then its CRM refuses every write, as long again,
while its changes go on coming; then it is back. Printed are the latencies of the other tenant's
changes (from the record's making until it is settled) in both times, crm-sync's memory, and how
fast what had waited was caught up. Delays of the retry topics are 1, 2 and 4 seconds instead of
30 s, 5 min and 1 h.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

import asyncpg
import confluent_kafka
import httpx
import psutil
from _changes import changes
from _figures import figure, percentiles
from _surroundings import Around, surroundings
from crm import worker

from leadflow.codec import Codec

DOWN, OTHER = "down", "other"
BUDGET_CALLS, BUDGET_SECONDS = 20, 10
SETTINGS = {
    "LEADFLOW_ACCOUNT_SECRET": b64encode(bytes(32)).decode(),
    "LEADFLOW_CRM_RETRY_DELAYS": "1,2,4",
    "LEADFLOW_CRM_RETRY_ATTEMPTS": "3,3,1000",
}
FAULT = {
    "target": "crm",
    "mode": "fail",
    "status": 503,
    "match": {"says": f'"tenant_id":"{DOWN}"'},
}
# Hits nothing, and counts what it could have hit.
COUNTER = {"target": "crm", "mode": "fail", "rate": 0}
AIM_RATIO = 2.0
CAUGHT_UP_SECONDS = 300.0


@dataclass
class Told:
    """Changes of a time: when each was made."""

    made: dict[str, dict[str, datetime]] = field(default_factory=lambda: {DOWN: {}, OTHER: {}})


async def tell(around: Around, rate: float, seconds: float) -> Told:
    """Changes of both tenants, one after the other, at a steady rate."""
    producer = confluent_kafka.Producer(
        {
            "bootstrap.servers": around.bootstrap,
            "partitioner": "murmur2_random",
            "linger.ms": 5,
        }
    )
    codec, told, run = Codec(), Told(), str(uuid4())
    count = int(rate * seconds) // 20 * 10
    started = time.perf_counter()
    streams = zip(changes(count, run, DOWN), changes(count, run, OTHER), strict=True)
    for number, pair in enumerate(streams, 1):
        for topic, record, _contact in pair:
            told.made[record.tenant_id][record.event_id] = record.recorded_at
            producer.produce(topic, codec.encode(record), record.lead_id)
        producer.poll(0)
        await asyncio.sleep(max(0.0, started + 2 * number / rate - time.perf_counter()))
    await asyncio.to_thread(producer.flush)
    return told


def give_an_account(around: Around) -> None:
    """One of its own to the tenant whose CRM is going to be down."""
    line = [sys.executable, "-m", "crm_sync", "account", "add", DOWN, "sandbox"]
    line += ["--url", around.crm_url, "--budget", f"{BUDGET_CALLS}/{BUDGET_SECONDS}"]
    environment = {**os.environ, "LEADFLOW_DATABASE_URL": around.url, **SETTINGS}
    subprocess.run(line, env=environment, input=b"", stdout=subprocess.DEVNULL, check=True)


async def latencies(database_: Any, made: dict[str, datetime]) -> list[float]:
    """Seconds from each change's making until it was settled."""
    query = (
        "SELECT event_id, first_at FROM sync_runs WHERE event_id = ANY($1) "
        "AND result IN ('written', 'unchanged')"
    )
    deadline = time.monotonic() + CAUGHT_UP_SECONDS
    while True:
        rows = await database_.fetch(query, list(made))
        if len(rows) == len(made):
            return [(row["first_at"] - made[row["event_id"]]).total_seconds() for row in rows]
        if time.monotonic() > deadline:
            raise SystemExit(f"{len(made) - len(rows)} of {len(made)} changes were not settled")
        await asyncio.sleep(0.2)


def p99(seconds: Sequence[float]) -> float:
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rate", type=float, default=60)
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    async with surroundings("crm_sync") as around:
        database_ = await asyncpg.connect(around.url)
        sandbox = httpx.AsyncClient(base_url=around.sandbox_url, trust_env=False, timeout=30)
        await asyncio.to_thread(give_an_account, around)
        with worker(around, **SETTINGS) as process:
            memory = psutil.Process(process.pid).memory_info
            await tell(around, options.rate, 5)  # caches filled, connections open
            quiet = await tell(around, options.rate, options.seconds)
            well = await latencies(database_, quiet.made[OTHER])
            before = memory().rss / 2**20
            rule = (await sandbox.post("/faults", json=FAULT)).raise_for_status().json()["id"]
            during = await tell(around, options.rate, options.seconds / 2)
            halfway = memory().rss / 2**20
            later = await tell(around, options.rate, options.seconds / 2)
            after = memory().rss / 2**20
            others = await latencies(database_, during.made[OTHER] | later.made[OTHER])
            calls = (await sandbox.get("/faults")).json()["items"][0]["hits"]
            waiting = await database_.fetchval("SELECT count(*) FROM waiting")
            (await sandbox.post("/faults", json=COUNTER)).raise_for_status()
            await sandbox.delete(f"/faults/{rule}")
            back = time.perf_counter()
            await latencies(database_, during.made[DOWN] | later.made[DOWN])
            took = time.perf_counter() - back
            used = (await sandbox.get("/faults")).json()["items"][0]["seen"]
        await sandbox.aclose()
        await database_.close()
    ratio = p99(others) / p99(well)
    print(f"all is well: {percentiles(well)}")
    print(f"one tenant's CRM is down: {percentiles(others)} for the others")
    print(f"  p99 {ratio:.2f} times that before; {calls} writes refused meanwhile")
    print(f"crm-sync's memory: {before:.0f} MB before, {halfway:.0f} and {after:.0f} MB meanwhile")
    allowed = BUDGET_CALLS * (took / BUDGET_SECONDS + 1)
    caught_up = f"{waiting} changes within {took:.1f} s by {used} calls, of {allowed:.0f} allowed"
    print(f"caught up: {caught_up}")
    figure("CRM down: others' changes before it", percentiles(well))
    figure("CRM down: others' changes meanwhile", percentiles(others))
    figure(
        "CRM down: p99 of others beside that before",
        f"{ratio:.2f}",
        f"at most {AIM_RATIO}",
        ratio <= AIM_RATIO,
    )
    figure(
        "CRM down: memory before, halfway, at the end",
        f"{before:.0f}, {halfway:.0f}, {after:.0f} MB",
    )
    figure("CRM down: caught up", caught_up, "no more than allowed", used <= allowed)


if __name__ == "__main__":
    asyncio.run(main())

"""Kill crm-syncs at random while the CRM fails them, then hold the CRM against the log.

    python -m tests.endurance.crm [--leads 10000] [--kills 40] [--seed N]

Ten changes of each lead, all leads mixed. Of the calls a fifth fail for now: refused, limited,
carried out with the answer lost, or carried out when nobody waits any more. One change in a hundred
is one that the CRM never takes. Each wave of changes is followed by a SIGKILL of one of two workers
at a random moment. Starts Kafka, PostgreSQL and the sandbox of its own on free ports of 127.0.0.1,
and ends them again. Exits with 1 if a contact or note is not what the log says, an older value
followed a newer one, or a change is in the dead letters that need not be.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from random import SystemRandom
from threading import Event
from typing import Any

import httpx
from tests.endurance.crm_model import Expected
from tests.endurance.reading import read_all
from tests.endurance.world import World, surroundings, wait
from tests.integration.crm_leads import SOURCES, TOPIC_OF, new_leads, ten_changes

from leadflow import topics
from leadflow.codec import Codec
from leadflow.kafka.confluent import ConfluentProducer
from leadflow.kafka.port import Outgoing
from leadflow.records import LeadRecord, SummaryReviewed

TENANT = "acme"
NEVER = "what this CRM never takes"
CODEC = Codec()
# Each draws for what the ones before it left. Those without a match hit a batch as a whole.
FAULTS: tuple[Mapping[str, Any], ...] = (
    {"mode": "reject", "match": {"says": NEVER}},
    {"mode": "drop_after_accept", "rate": 0.05},
    {"mode": "stall", "rate": 0.005, "stall_seconds": 2.5},
    {"mode": "fail", "status": 503, "rate": 0.12, "match": {"to": "lead-"}},
    {"mode": "rate_limit", "rate": 0.05, "retry_after_seconds": 1, "match": {"to": "lead-"}},
)
READS_AT_ONCE = 16


def main() -> int:
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="leadflow-crm-"))
    print(
        f"seed {options.seed}: {options.leads} leads, {options.kills} kills; files in {folder}",
        flush=True,
    )
    with surroundings(folder, "crm_sync", _settings) as world:
        good = _run(options, world)
    if good:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if good else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--leads", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(1_000_000))
    parser.add_argument("--minutes", type=float, default=40.0, help="give up after that")
    return parser.parse_args()


def _settings(base: str) -> Mapping[str, str]:
    return {
        "LEADFLOW_CRM_URL": f"{base}/crm",
        # A call that stalls is given up before it is carried out.
        "LEADFLOW_CRM_TIMEOUT_SECONDS": "2",
        "LEADFLOW_CRM_RETRY_DELAYS": "0.3,1,2",
        "LEADFLOW_CRM_RETRY_ATTEMPTS": "3,3,100",
    }


def _changes(leads: int, seed: int) -> list[LeadRecord]:
    """Ten of each lead, mixed; of every seventh lead one is such as the CRM never takes: where it
    is taken together with a newer one of its kind, nobody asks the CRM."""
    choose = random.Random(seed)
    made = new_leads(TENANT, leads)
    # Which of those that can be such a change are left until it is.
    left = {lead.lead_id: choose.randrange(4) for lead in made[::7]}
    return [_marked(record, left) for record in ten_changes(made, seed)]


def _marked(record: LeadRecord, left: dict[str, int]) -> LeadRecord:
    if record.TYPE not in ("LeadCreated", "LeadUpdated", "SummaryReviewed"):
        return record
    if record.lead_id not in left:
        return record
    left[record.lead_id] -= 1
    if left[record.lead_id] != -1:
        return record
    if isinstance(record, SummaryReviewed):
        return replace(record, text=NEVER, text_hash=hashlib.sha256(NEVER.encode()).hexdigest())
    return replace(record, first_name=NEVER)  # type: ignore[call-arg]


def _run(options: argparse.Namespace, world: World) -> bool:
    began = time.monotonic()
    deadline = began + 60 * options.minutes
    choose = random.Random(options.seed)
    told = _changes(options.leads, options.seed)
    for seed, rule in enumerate(FAULTS, options.seed):
        answer = world.sandbox.post("/faults", json={"target": "crm", "seed": seed, **rule})
        answer.raise_for_status()
    never = Event()
    running = [world.start(), world.start()]
    waves, published = options.kills + 1, 0
    size = len(told) // waves
    for wave in range(waves):
        some = told[wave::waves]
        asyncio.run(_publish(world.bootstrap, some))
        published += len(some)
        if wave == options.kills:
            break
        # Somewhere in the wave before or in this one, so that a kill finds both at work.
        goal = max(1, published - size - size // 2 + choose.randint(1, size))
        left = deadline - time.monotonic()
        wait(partial(_has_settled, world, goal), f"{goal} changes are settled", left)
        never.wait(choose.uniform(0.0, 0.3))
        world.kill_one(running, choose)
        if (wave + 1) % 10 == 0:
            print(f"{wave + 1} kills, {time.monotonic() - began:.0f} s", flush=True)
    while not _is_over(world, len(told)):
        for worker in running:
            assert worker.poll() is None, f"a crm-sync ended by itself: see {world.folder}"
        if time.monotonic() > deadline:
            print(f"not at an end: {_standing(world)} (settled, waiting, of unknown outcome)")
            return False
        never.wait(0.5)
    return _judge(world, options, time.monotonic() - began)


async def _publish(bootstrap: str, records: Sequence[LeadRecord]) -> None:
    producer = ConfluentProducer(bootstrap, "endurance")
    try:
        await producer.send(
            [
                Outgoing(TOPIC_OF[type(each)], each.lead_id.encode(), CODEC.encode(each))
                for each in records
            ]
        )
    finally:
        await producer.close()


def _standing(world: World) -> tuple[int, int, int]:
    """Changes that are settled, those that wait, and contacts with a write of unknown outcome."""
    row = world.ask(
        "SELECT (SELECT count(*) FROM sync_runs WHERE result <> 'waiting'),"
        " (SELECT count(*) FROM waiting),"
        " (SELECT count(*) FROM contacts WHERE pending IS NOT NULL)"
    )[0]
    return row[0], row[1], row[2]


def _has_settled(world: World, goal: int) -> bool:
    return _standing(world)[0] >= goal


def _is_over(world: World, changes: int) -> bool:
    return _standing(world) == (changes, 0, 0)


def _log(world: World) -> Iterator[LeadRecord]:
    for topic in SOURCES:
        for message in read_all(world.bootstrap, topic.name):
            record = CODEC.decode(message.value())
            assert isinstance(record, LeadRecord)
            yield record


def _letters(world: World, wrong: list[str]) -> Counter[str]:
    """How often each event is in the dead letters; says which of them have no business there."""
    found: Counter[str] = Counter()
    for message in read_all(world.bootstrap, topics.CRM_SYNC_DLQ.name):
        record: Any = CODEC.decode(message.value())
        headers = {name: value.decode() for name, value in message.headers()}
        found[record.event_id] += 1
        never = NEVER in (getattr(record, "first_name", ""), getattr(record, "text", ""))
        reason = headers.get("dlq-reason", "")
        if not never or headers.get("dlq-error") != "CrmNever" or "HTTP 422" not in reason:
            wrong.append(f"a dead letter of {record.TYPE} {record.event_id}: {headers}")
        if NEVER in str(headers) or record.tenant_id in reason:
            wrong.append(f"a dead letter that says what was in it: {headers}")
    return found


def _judge(world: World, options: argparse.Namespace, took: float) -> bool:
    rules = world.sandbox.get("/faults").json()["items"]
    wrong: list[str] = []
    letters = _letters(world, wrong)
    expected: dict[str, Expected] = {}
    changes = 0
    for record in _log(world):
        changes += 1
        lead = expected.setdefault(record.lead_id, Expected(record.tenant_id))
        if record.event_id not in letters:
            lead.hear(record)
    found = asyncio.run(_found(str(world.sandbox.base_url), list(expected)))
    writes = again = 0
    for lead_id, lead in expected.items():
        history, notes = found[lead_id]
        wrong += [f"{lead_id}: {what}" for what in lead.out_of_order(history)]
        if not history or history[-1] != lead.contact():
            wrong.append(f"{lead_id}: {history[-1:]} in the CRM, by the log {lead.contact()}")
        if sorted(notes) != sorted(lead.notes.items()):
            wrong.append(f"{lead_id}: notes {notes}, by the log {lead.notes}")
        writes += len(history)
        again += sum(one == other for one, other in pairwise(history))
    counts = world.sandbox.get("/crm/counts").json()
    if counts["contacts"] != len(expected):
        wrong.append(f"{counts['contacts']} contacts of {len(expected)} leads")
    hits = {f"{rule['mode']} {rule.get('match', '')}": rule for rule in rules}
    print(
        f"{took:.0f} s: {changes} changes of {len(expected)} leads, {options.kills} kills; "
        f"{writes} writes, {counts['notes']} notes, a value written again {again} times; "
        f"{len(letters)} changes in the dead letters, {sum(letters.values()) - len(letters)} of "
        "them told again"
    )
    for name, rule in hits.items():
        print(f"  {name}: {rule['hits']} of {rule['seen']}")
    print("\n".join(wrong[:20]) or "all as it has to be")
    if len(wrong) > 20:
        print(f"… and {len(wrong) - 20} more")
    return not wrong


async def _found(
    base: str, leads: Sequence[str]
) -> dict[str, tuple[list[dict[str, Any]], list[tuple[str, str]]]]:
    """What the CRM has of each lead: every value that its contact had, and its notes."""
    room = asyncio.Semaphore(READS_AT_ONCE)
    async with httpx.AsyncClient(base_url=f"{base}/crm/contacts/", trust_env=False) as client:

        async def items(lead_id: str, what: str) -> list[dict[str, Any]]:
            async with room:
                answer = await client.get(f"{lead_id}/{what}")
            return list(answer.json()["items"]) if answer.status_code == 200 else []

        async def one(lead_id: str) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
            history, notes = await items(lead_id, "history"), await items(lead_id, "notes")
            return [each["contact"] for each in history], [
                (each["note_id"], each["text"]) for each in notes
            ]

        return dict(zip(leads, await asyncio.gather(*map(one, leads)), strict=True))


if __name__ == "__main__":
    sys.exit(main())

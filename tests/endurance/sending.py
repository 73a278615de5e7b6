"""Kill dispatchers at random while they send, then hold every message to what came of it.

    python -m tests.endurance.sending [--messages 20000] [--kills 50] [--seed N] [--email resend]

Half of the messages are e-mails, over a provider that knows keys, half are SMS over Twilio's API,
which knows none. Two dispatchers send them; the sandbox fails, stalls, and drops answers after it
accepted. Each wave of messages is followed by a SIGKILL at a random moment. Starts Kafka,
PostgreSQL and the sandbox of its own on free ports of 127.0.0.1, and ends them again. Exits with 1
if a message was lost, sent twice, or is told otherwise than it is.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from random import SystemRandom
from threading import Event
from typing import Any

from tests.endurance.world import SECRET, World, surroundings, wait
from tests.integration.dispatching import FINAL, queued, said
from tests.integration.reading import read_all

from leadflow import topics
from leadflow.codec import Codec
from leadflow.kafka.confluent import ConfluentProducer
from leadflow.kafka.port import Outgoing
from leadflow.records import ConsentChanged, MessageQueued

TENANTS = ("acme", "north", "south")
# Messages that one dispatcher may have with Twilio at a time: the doubts that a kill can leave.
SMS_IN_FLIGHT = 8
TWILIO = {
    "LEADFLOW_SMS_VIA": "twilio",
    "LEADFLOW_TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "LEADFLOW_TWILIO_AUTH_TOKEN": "sandbox",
    "LEADFLOW_TWILIO_SMS_FROM": "+15005550006",
}
EMAIL = {
    "api": {"LEADFLOW_EMAIL_VIA": "api"},
    "resend": {"LEADFLOW_EMAIL_VIA": "resend", "LEADFLOW_RESEND_API_KEY": "re_sandbox"},
}
# The channel under which the sandbox lists what came over each way.
LISTED = {"api": "email", "resend": "resend", "twilio": "twilio"}


def main() -> int:
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="leadflow-sending-"))
    print(
        f"seed {options.seed}: {options.messages} messages, {options.kills} kills; files in "
        f"{folder}",
        flush=True,
    )
    with surroundings(folder, "dispatcher", partial(_settings, folder, options.email)) as around:
        good = _run(options, around)
    if good:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if good else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(1_000_000))
    parser.add_argument("--email", choices=tuple(EMAIL), default="resend")
    parser.add_argument("--minutes", type=float, default=25.0, help="give up after that")
    return parser.parse_args()


def _settings(folder: Path, email: str, base: str) -> Mapping[str, str]:
    """What the dispatchers are told; `base` is where the sandbox is."""
    tenants = folder / "tenants.toml"
    tenants.write_text("".join(f"[tenants.{each}]\nsend_hours = {{}}\n" for each in TENANTS))
    return {
        "LEADFLOW_LINK_SECRET": SECRET,
        "LEADFLOW_TENANTS_FILE": str(tenants),
        "LEADFLOW_PROVIDERS_URL": f"{base}/providers",
        "LEADFLOW_RESEND_URL": f"{base}/resend",
        "LEADFLOW_RESEND_CALLS_PER_SECOND": "1000",
        "LEADFLOW_TWILIO_URL": f"{base}/twilio",
        "LEADFLOW_SANDBOX_URL": base,
        # A kill in the middle of a batch is made up for after a lease, not after minutes.
        "LEADFLOW_PROVIDER_TIMEOUT_SECONDS": "2",
        "LEADFLOW_LEASE_SECONDS": "4",
        "LEADFLOW_RETRY_FIRST_SECONDS": "0.2",
        "LEADFLOW_RETRY_ATTEMPTS": "50",
        **TWILIO,
        **EMAIL[email],
    }


def _messages(number: int) -> list[MessageQueued]:
    made = []
    for each in range(number):
        tenant = TENANTS[each % len(TENANTS)]
        if each % 2:
            made.append(queued(tenant, each))
        else:
            made.append(
                queued(tenant, each, channel="sms", recipient=f"+1512{each:07d}", subject="")
            )
    return made


def _faults(world: World, email: str, rates: Mapping[str, float]) -> None:
    for target in (LISTED[email], "twilio"):
        for seed, (mode, rate) in enumerate(rates.items(), 1):
            rule: dict[str, Any] = {"target": target, "mode": mode, "rate": rate, "seed": seed}
            if mode == "stall":
                rule["stall_seconds"] = 3
            world.sandbox.post("/faults", json=rule).raise_for_status()


def _run(options: argparse.Namespace, world: World) -> bool:
    began = time.monotonic()
    deadline = began + 60 * options.minutes
    choose = random.Random(options.seed)
    messages = _messages(options.messages)
    _faults(world, options.email, {"fail": 0.02, "drop_after_accept": 0.01, "stall": 0.001})
    never = Event()
    running = [world.start(), world.start()]
    waves, published = options.kills + 1, 0
    for wave in range(waves):
        asyncio.run(_publish(world.bootstrap, messages[wave::waves]))
        published += len(messages[wave::waves])
        if wave == options.kills:
            break
        # Somewhere in the wave, so that a kill finds both at work.
        goal = _sent(world) + choose.randint(1, max(1, len(messages) // waves))
        wait(partial(_has_sent, world, goal, published), f"{goal} of {published} are accepted")
        never.wait(choose.uniform(0.0, 0.2))
        world.kill_one(running, choose)
        if (wave + 1) % 10 == 0:
            print(f"{wave + 1} kills, {time.monotonic() - began:.0f} s", flush=True)
    hits = _hits(world)
    world.sandbox.delete("/faults").raise_for_status()
    for worker in running:
        assert worker.poll() is None, f"a dispatcher ended by itself: see {world.folder}"
    while True:
        left, untold = _left(world), world.ask("SELECT count(*) FROM outbox")[0][0]
        if left == (0, len(messages)) and untold == 0:
            break
        if time.monotonic() > deadline:
            print(f"not at an end: {left} (open, known), {untold} untold")
            return False
        never.wait(1.0)
    took = time.monotonic() - began
    return _judge(options, world, messages, hits, took)


async def _publish(bootstrap: str, messages: Sequence[MessageQueued]) -> None:
    codec, producer = Codec(), ConfluentProducer(bootstrap, "endurance")
    try:
        consents = [
            said(
                message,
                ConsentChanged,
                channel="sms",
                granted=True,
                address=message.recipient,
                basis="opt-in",
            )
            for message in messages
            if message.channel == "sms"
        ]
        for topic, records in ((topics.LEAD_EVENTS, consents), (topics.MESSAGES, messages)):
            await producer.send(
                [
                    Outgoing(topic.name, each.lead_id.encode(), codec.encode(each))
                    for each in records
                ]
            )
    finally:
        await producer.close()


def _hits(world: World) -> int:
    """How many answers of Twilio's the sandbox failed, stalled or dropped."""
    rules = world.sandbox.get("/faults").json()
    items = rules["items"] if isinstance(rules, dict) else rules
    return sum(each["hits"] for each in items if each["target"] == "twilio")


def _sent(world: World) -> int:
    return int(world.sandbox.get("/accepted/counts").json()["total"])


def _has_sent(world: World, goal: int, published: int) -> bool:
    """Or as many as ever will be: what is unknown may not have been accepted."""
    return _sent(world) >= goal or _left(world) == (0, published)


def _left(world: World) -> tuple[int, int]:
    """How many messages are without an end, and how many the ledger has."""
    row = world.ask(
        "SELECT count(*) FILTER (WHERE state IN ('queued', 'claimed', 'held')), count(*) "
        "FROM ledger"
    )[0]
    return row[0], row[1]


def _accepted(world: World, channel: str) -> Counter[str]:
    """How often each message was accepted, by the key that the sandbox knows it by."""
    found: Counter[str] = Counter()
    offset, seen, total = 0, 0, 1
    while seen < total:
        page = world.sandbox.get(
            "/accepted", params={"channel": channel, "offset": offset, "limit": 5_000}
        ).json()
        total = page["total"]
        if not page["items"]:
            break
        seen += len(page["items"])
        offset += len(page["items"])
        found.update(each["key"] for each in page["items"])
    return found


def _told(world: World) -> dict[str, list[str]]:
    codec = Codec()
    seen: set[str] = set()
    found: dict[str, list[str]] = {}
    for message in read_all(world.bootstrap, topics.MESSAGE_EVENTS.name):
        record: Any = codec.decode(message.value())
        if record.TYPE in FINAL and record.event_id not in seen:
            seen.add(record.event_id)
            found.setdefault(record.message_id, []).append(record.TYPE)
    return found


def _judge(
    options: argparse.Namespace,
    world: World,
    messages: Sequence[MessageQueued],
    hits: int,
    took: float,
) -> bool:
    states = dict(world.ask("SELECT message_id, state FROM ledger"))
    emails = _accepted(world, LISTED[options.email])
    texts = _accepted(world, "twilio")
    told = _told(world)
    wrong: list[str] = []
    unknown = 0
    for message in messages:
        state = states[message.message_id]
        events = told.get(message.message_id, [])
        if message.channel == "email":
            times = emails[message.message_id]
            if (state, times) != ("sent", 1):
                wrong.append(f"{message.message_id}: {state}, accepted {times} times")
        else:
            times = texts[message.message_id]
            unknown += state == "unknown"
            fits = {"sent": times == 1, "unknown": times <= 1, "failed": times == 0}
            if not fits.get(state, False):
                wrong.append(f"{message.message_id}: {state}, accepted {times} times without a key")
        if events != [f"Message{state.capitalize()}"]:
            wrong.append(f"{message.message_id}: {state}, told as {events}")
    allowed = options.kills * SMS_IN_FLIGHT + hits
    if unknown > allowed:
        wrong.append(f"{unknown} unknown, at most {allowed} can be")
    verified = subprocess.run(
        [sys.executable, "-m", "leadflow_cli", "ledger", "verify"],
        env={**os.environ, **world.settings, "LEADFLOW_HOME": str(world.folder / "none")},
        capture_output=True,
        text=True,
        check=False,
    )
    if verified.returncode:
        wrong.append(f"ledger verify: {verified.stdout[-2_000:]}{verified.stderr[-500:]}")
    by_state = Counter(states.values())
    print(
        f"{took:.0f} s: {len(messages)} messages, {options.kills} kills; e-mails accepted once "
        f"each: {sum(times == 1 for times in emails.values())}; SMS accepted: {len(texts)}, more "
        f"than once: {sum(times > 1 for times in texts.values())}; unknown {unknown}, of at most "
        f"{options.kills} x {SMS_IN_FLIGHT} in flight + {hits} answers lost or failed by the "
        f"provider; states {dict(by_state)}"
    )
    print("\n".join(wrong[:20]) or "all as it has to be")
    if len(wrong) > 20:
        print(f"… and {len(wrong) - 20} more")
    return not wrong


if __name__ == "__main__":
    sys.exit(main())

"""Posts payloads as the ledger keeps them, and keeps nothing: what the dispatcher is held against.

The same client, the same number of calls at once as one dispatcher's three loops for e-mail. With
--render it makes the payloads itself, just before it posts them: the whole job, but for
a ledger. Prints {"rate": messages a second, "cpu_ms": processor time a message}.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from dataclasses import dataclass
from uuid import uuid4

import asyncpg
from _mail import message

from dispatcher.model import Accepted, Content
from dispatcher.providers.api_email import EmailApi
from dispatcher.providers.http import http_client
from dispatcher.settings import Settings
from leadflow.records import MessageQueued
from leadflow.settings import Environment

LOOPS = 3


@dataclass(frozen=True)
class Message:
    message_id: str
    content: Content


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("messages", type=int)
    parser.add_argument("--warm-up", type=int, default=0)
    parser.add_argument("--single", action="store_true")
    parser.add_argument("--render", action="store_true")
    options = parser.parse_args()
    if options.single:
        EmailApi.batch = 1
    connection = await asyncpg.connect(os.environ["LEADFLOW_DATABASE_URL"])
    writer = Settings.read(Environment(os.environ)).writer
    rows = await connection.fetch(
        "SELECT payload, body_sha256 FROM ledger LIMIT $1", options.messages
    )
    await connection.close()
    contents = [Content(payload=row["payload"], sha256=row["body_sha256"]) for row in rows]
    url = f"{os.environ['LEADFLOW_PROVIDERS_URL']}/email"

    def rendered(queued: MessageQueued) -> Message:
        content = writer.arrive(queued).content
        assert content is not None
        return Message(queued.message_id, content)

    async def post(count: int) -> tuple[float, float]:
        """Seconds, and those of the processor, for so many messages."""
        run = str(uuid4())
        left: list[Message | MessageQueued] = [
            message(number, run)
            if options.render
            else Message(str(uuid4()), contents[number % len(contents)])
            for number in range(count)
        ]

        async def loop() -> None:
            provider = EmailApi(url, http_client(30.0), 30.0)
            size = provider.batch if provider.batch > 1 else provider.at_once
            while left:
                some, left[:] = left[:size], left[size:]
                ready = [each if isinstance(each, Message) else rendered(each) for each in some]
                groups = [
                    ready[start : start + provider.batch]
                    for start in range(0, len(ready), provider.batch)
                ]
                for answers in await asyncio.gather(*map(provider.send, groups)):
                    assert all(isinstance(answer, Accepted) for answer in answers)
            await provider.close()

        started, spent = time.perf_counter(), time.process_time()
        await asyncio.gather(*(loop() for _ in range(LOOPS)))
        return time.perf_counter() - started, time.process_time() - spent

    await post(options.warm_up)
    seconds, busy = await post(options.messages)
    count = options.messages
    print(json.dumps({"rate": count / seconds, "cpu_ms": busy / count * 1e3}))


asyncio.run(main())

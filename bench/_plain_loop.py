"""Posts payloads as the ledger keeps them, and keeps nothing: what the dispatcher is held against.

The same client, the same number of calls at once as one dispatcher's three loops for e-mail.
Prints {"rate": messages a second}.
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

from dispatcher.model import Accepted, Content
from dispatcher.providers.api_email import EmailApi
from dispatcher.providers.http import http_client

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
    options = parser.parse_args()
    if options.single:
        EmailApi.batch = 1
    connection = await asyncpg.connect(os.environ["LEADFLOW_DATABASE_URL"])
    rows = await connection.fetch(
        "SELECT payload, body_sha256 FROM ledger LIMIT $1", options.messages
    )
    await connection.close()
    contents = [Content(payload=row["payload"], sha256=row["body_sha256"]) for row in rows]
    url = f"{os.environ['LEADFLOW_PROVIDERS_URL']}/email"

    async def post(count: int) -> float:
        """Seconds for so many messages."""
        left = [Message(str(uuid4()), contents[number % len(contents)]) for number in range(count)]

        async def loop() -> None:
            provider = EmailApi(url, http_client(30.0), 30.0)
            size = provider.batch if provider.batch > 1 else provider.at_once
            while left:
                some, left[:] = left[:size], left[size:]
                groups = [
                    some[start : start + provider.batch]
                    for start in range(0, len(some), provider.batch)
                ]
                for answers in await asyncio.gather(*map(provider.send, groups)):
                    assert all(isinstance(answer, Accepted) for answer in answers)
            await provider.close()

        started = time.perf_counter()
        await asyncio.gather(*(loop() for _ in range(LOOPS)))
        return time.perf_counter() - started

    await post(options.warm_up)
    print(json.dumps({"rate": options.messages / await post(options.messages)}))


asyncio.run(main())

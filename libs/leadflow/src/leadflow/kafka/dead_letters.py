"""Records that cannot be processed: kept with their original bytes, and with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from leadflow.clock import Clock
from leadflow.errors import BrokerError, DeadLetterError, public_reason
from leadflow.kafka.port import Message, Outgoing, Producer


class DeadLetter(NamedTuple):
    """A message and the error that ended its way."""

    message: Message
    error: BaseException


class DeadLetters:
    """Writes to `SERVICE-dlq`; the headers say where a record came from and why it is there."""

    def __init__(self, service: str, producer: Producer, clock: Clock) -> None:
        self.topic = f"{service}-dlq"
        self._service = service
        self._producer = producer
        self._clock = clock

    async def bury(self, letters: Iterable[DeadLetter]) -> None:
        """Return once the broker has all of them.

        Raises DeadLetterError if it does not take them; the caller must then end the process,
        because going on would skip records.
        """
        at = self._clock.now().isoformat().encode()
        batch = [
            Outgoing(
                self.topic,
                message.key,
                message.value,
                (
                    *message.headers,
                    ("dlq-service", self._service.encode()),
                    ("dlq-topic", message.topic.encode()),
                    ("dlq-partition", str(message.partition).encode()),
                    ("dlq-offset", str(message.offset).encode()),
                    ("dlq-error", type(error).__name__.encode()),
                    ("dlq-reason", public_reason(error).encode()),
                    ("dlq-at", at),
                ),
            )
            for message, error in letters
        ]
        try:
            await self._producer.send(batch)
        except BrokerError as error:
            raise DeadLetterError(f"{self.topic} did not take {len(batch)} records") from error

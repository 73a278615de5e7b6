"""Records that cannot be processed: kept with their original bytes, and with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from leadflow.clock import Clock
from leadflow.errors import BrokerError, DeadLetterError, public_reason
from leadflow.kafka.port import Message, Outgoing, Producer

# The headers of a burial, in their order: the last ones of the letter.
NAMES = (
    "dlq-service", "dlq-topic", "dlq-partition", "dlq-offset", "dlq-error", "dlq-reason", "dlq-at",
)  # fmt: skip


class DeadLetter(NamedTuple):
    """A message and the error that ended its way."""

    message: Message
    error: BaseException


class DeadLetters:
    """Writes to `SERVICE-dlq`; the headers say where a record came from and why it is there."""

    def __init__(self, service: str, producer: Producer, clock: Clock) -> None:
        self.topic = f"{service}-dlq"
        self.service = service
        self._producer = producer
        self._clock = clock

    async def bury(self, letters: Iterable[DeadLetter]) -> None:
        """Return once the broker has all of them.

        Raises DeadLetterError if it does not take them; the caller must then end the process,
        because going on would skip records.
        """
        at = self._clock.now().isoformat()
        batch = [
            Outgoing(
                self.topic,
                message.key,
                message.value,
                (*message.headers, *self._headers(message, error, at)),
            )
            for message, error in letters
        ]
        try:
            await self._producer.send(batch)
        except BrokerError as error:
            raise DeadLetterError(f"{self.topic} did not take {len(batch)} records") from error

    def _headers(
        self, message: Message, error: BaseException, at: str
    ) -> Iterable[tuple[str, bytes]]:
        texts = (
            self.service,
            message.topic,
            str(message.partition),
            str(message.offset),
            type(error).__name__,
            public_reason(error),
            at,
        )
        return zip(NAMES, (text.encode() for text in texts), strict=True)

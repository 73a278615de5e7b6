"""A compacted topic as a table that every worker holds whole.

Read by a consumer outside any group, to its end before the first event is handled, and
followed from then on.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import confluent_kafka

from leadflow.errors import BrokerError
from leadflow.health import Health

Apply = Callable[[bytes, bytes | None], None]

POLL_SECONDS = 0.2


class CompactedTopic:
    """Calls `apply(key, value)` for every record of `topic`; None as value is a removal.

    `apply` runs on a thread of its own and must not block. An error that it raises ends the
    following and makes `part` of `health` unready: a worker that cannot read its controls
    must not go on as if there were none.
    """

    def __init__(
        self, bootstrap: str, topic: str, apply: Apply, *, client_id: str, health: Health
    ) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._apply = apply
        self._client_id = client_id
        self._health = health
        self._stop = threading.Event()
        self._reached: dict[int, int] = {}
        self._thread: threading.Thread | None = None

    async def start(self, timeout: float = 30.0) -> None:
        """Return once everything that was in the topic has been applied.

        Raises BrokerError if the broker does not answer within `timeout` seconds.
        """
        loop = asyncio.get_running_loop()
        caught_up: asyncio.Future[None] = loop.create_future()

        def tell(error: Exception | None) -> None:
            if caught_up.done():
                return
            if error is None:
                caught_up.set_result(None)
            else:
                caught_up.set_exception(error)

        def caught_up_here() -> None:
            loop.call_soon_threadsafe(tell, None)

        def run() -> None:
            try:
                self._follow(timeout, caught_up_here)
            except Exception as error:
                self._health.not_ready(self._topic, type(error).__name__)
                if not self._stop.is_set():
                    loop.call_soon_threadsafe(tell, error)

        self._thread = threading.Thread(target=run, name=f"follow-{self._topic}", daemon=True)
        self._thread.start()
        await asyncio.wait_for(caught_up, timeout)

    @property
    def reached(self) -> dict[int, int]:
        """By partition, the offset that is read next: all before it has been applied."""
        return dict(self._reached)

    async def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _follow(self, timeout: float, caught_up: Callable[[], None]) -> None:
        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": self._bootstrap,
                "client.id": self._client_id,
                # librdkafka wants a name; nothing is ever committed under it.
                "group.id": f"{self._client_id}-reads-{self._topic}",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "log_level": 3,
            }
        )
        try:
            found = consumer.list_topics(self._topic, timeout).topics[self._topic]
            if found.error is not None:
                raise BrokerError(f"cannot read {self._topic}: {found.error.str()}")
            behind: dict[int, int] = {}
            for number in found.partitions:
                place = confluent_kafka.TopicPartition(self._topic, number, 0)
                low, end = consumer.get_watermark_offsets(place, timeout)
                if end > low:
                    behind[number] = end
            consumer.assign(
                [
                    confluent_kafka.TopicPartition(
                        self._topic, number, confluent_kafka.OFFSET_BEGINNING
                    )
                    for number in found.partitions
                ]
            )
            places = [confluent_kafka.TopicPartition(self._topic, n) for n in found.partitions]
            while not self._stop.is_set():
                if behind:
                    # The end is compared with the position, not with a record's offset: the
                    # last offsets of a compacted partition may be gone or be markers.
                    for position in consumer.position(
                        [confluent_kafka.TopicPartition(self._topic, n) for n in behind]
                    ):
                        if position.offset >= behind[position.partition]:
                            del behind[position.partition]
                if not behind:
                    caught_up()
                message = consumer.poll(POLL_SECONDS)
                if message is None or message.error() is not None:
                    # The position, as above: the last offsets may bring no record.
                    for position in consumer.position(places):
                        self._reached[position.partition] = max(0, position.offset)
                    continue
                self._apply(message.key() or b"", message.value())
                self._reached[message.partition() or 0] = (message.offset() or 0) + 1
        finally:
            consumer.close()

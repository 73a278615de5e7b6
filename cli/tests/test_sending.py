from collections.abc import Sequence

import pytest

from leadflow.errors import BrokerError
from leadflow.kafka.port import Outgoing
from leadflow_cli import sending
from leadflow_cli.lines import Line, read_lines
from leadflow_cli.sending import send_all


class Log:
    """A producer that keeps what it was given, and may refuse."""

    def __init__(self, refuses_after: int | None = None) -> None:
        self.batches: list[list[Outgoing]] = []
        self._refuses_after = refuses_after

    async def send(self, batch: Sequence[Outgoing]) -> None:
        if self._refuses_after is not None and len(self.batches) >= self._refuses_after:
            raise BrokerError("not acknowledged")
        self.batches.append(list(batch))

    async def close(self) -> None:
        pass


def events(count: int) -> list[Line]:
    return list(read_lines(b'{"broken": %d}\n' % number for number in range(count)))


async def test_every_line_is_sent_in_order_with_its_bytes_also_those_that_are_no_raw_events() -> (
    None
):
    log, told = Log(), []
    lines = events(1201)
    sent = await send_all(log, lines, rate=None, progress=told.append)
    records = [record for batch in log.batches for record in batch]
    assert [record.value for record in records] == [line.value for line in lines]
    assert {record.topic for record in records} == {"raw-events"}
    assert told == [500, 1000, 1201]
    assert sent.lines == 1201
    assert sent.refused[0] == (1, "event_id is missing or not a text")
    assert len(sent.refused) == 1201


async def test_at_a_rate_no_line_goes_before_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(sending.asyncio, "sleep", sleep)
    monkeypatch.setattr(sending.time, "monotonic", lambda: 100.0)  # no time passes by itself
    log = Log()
    await send_all(log, events(25), rate=200, progress=lambda _: None)
    assert [len(batch) for batch in log.batches] == [10, 10, 5]
    assert waits == pytest.approx([0.0, 0.05, 0.1])


async def test_a_broker_that_does_not_take_a_batch_ends_the_sending() -> None:
    log = Log(refuses_after=1)
    with pytest.raises(BrokerError):
        await send_all(log, events(501), rate=None, progress=lambda _: None)
    assert len(log.batches) == 1

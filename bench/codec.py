"""What the typed layer costs: records a second, beside bare fastavro in the same run.

    python bench/codec.py [--seconds 2]

Bare fastavro writes and reads the same record as a dict, without frame and without type. The
aim is a ratio of at most 2. Both take turns in short rounds of processor time, and the best
round counts, so that other work on the machine weighs on neither.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from time import process_time

import fastavro
from _figures import figure

from leadflow.codec import Codec, schemas
from leadflow.plain import avro_values
from leadflow.records import LeadCreated, MessageQueued, Record, Tick

EXAMPLES = Path(__file__).resolve().parent.parent / "schemas/examples"
ROUND_SECONDS = 0.1
AIM = 2
Work = Callable[[], object]


def rate(work: Work) -> float:
    """Calls a second of processor time in one round."""
    calls, start = 0, process_time()
    while (elapsed := process_time() - start) < ROUND_SECONDS:
        for _ in range(100):
            work()
        calls += 100
    return calls / elapsed


def side_by_side(bare: Work, typed: Work, seconds: float) -> tuple[float, float]:
    """Best calls a second of each."""
    rounds = max(3, round(seconds / ROUND_SECONDS / 2))
    pairs = [(rate(bare), rate(typed)) for _ in range(rounds)]
    return max(pair[0] for pair in pairs), max(pair[1] for pair in pairs)


def measure(codec: Codec, record_type: type[Record], seconds: float) -> Iterator[str]:
    """The two lines of one record type."""
    ratios = []
    name, version = record_type.TYPE, record_type.VERSION
    schema = next(s for s in schemas() if (s["name"], s["version"]) == (name, version))
    plain = json.loads((EXAMPLES / f"{name}.v{version}.json").read_text())
    parsed, values = fastavro.parse_schema(schema), avro_values(schema, plain)
    record = record_type.from_avro(avro_values(schema, plain))

    def bare_encode() -> bytes:
        out = BytesIO()
        fastavro.schemaless_writer(out, parsed, values)
        return out.getvalue()

    framed, body = codec.encode(record), bare_encode()
    pairs: tuple[tuple[str, Work, Work], ...] = (
        ("encode", bare_encode, lambda: codec.encode(record)),
        (
            "decode",
            lambda: fastavro.schemaless_reader(BytesIO(body), parsed, None),
            lambda: codec.decode(framed),
        ),
    )
    for title, bare, typed in pairs:
        bare_rate, typed_rate = side_by_side(bare, typed, seconds)
        ratios.append(bare_rate / typed_rate)
        yield (
            f"{name:<14} {len(framed):>5}  {title:<6} {bare_rate:>9,.0f} {typed_rate:>9,.0f} "
            f"{ratios[-1]:>6.2f}"
        )
    seen = "encode {:.2f}, decode {:.2f}".format(*ratios)
    figure(f"{name}, typed codec over bare", seen, f"at most {AIM}", max(ratios) <= AIM)


def main() -> None:
    parser = argparse.ArgumentParser(description="Codec rates beside bare fastavro")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each line of the table")
    seconds = parser.parse_args().seconds
    codec = Codec()
    print(f"{'record':<14} {'bytes':>5}  {'':<6} {'bare/s':>9} {'typed/s':>9} {'ratio':>6}")
    for record_type in (LeadCreated, MessageQueued, Tick):
        for line in measure(codec, record_type, seconds):
            print(line)


if __name__ == "__main__":
    main()

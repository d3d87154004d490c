"""Dead letters of the producer: records that cannot become events, with their raw JSON."""

from collections.abc import Sequence

from isal import igzip

from producer.events import UnreadableRecord
from relay.kafka.producer import ProducerRecord

PLAIN_BYTES = 500_000
MAX_PART_BYTES = 900_000


def dead_letter_records(
    unreadable: UnreadableRecord,
    *,
    topic: str,
    partition: int,
    organization: str,
    at_ms: int,
    max_value_bytes: int,
) -> Sequence[ProducerRecord]:
    """Return one message, or numbered parts of one, compressed where it is large; joined they are the raw JSON.

    No part is larger than `max_value_bytes`, which the topic accepts.
    """
    part_bytes = min(MAX_PART_BYTES, max_value_bytes)
    compressed = len(unreadable.raw) > min(PLAIN_BYTES, part_bytes)
    content = igzip.compress(unreadable.raw, mtime=0) if compressed else unreadable.raw
    parts = [content[start : start + part_bytes] for start in range(0, len(content), part_bytes)] or [b""]
    common = [
        ("relay.reason", unreadable.reason.encode()),
        ("relay.service", b"producer"),
        ("relay.at", str(at_ms).encode()),
        *([("relay.encoding", b"gzip")] if compressed else []),
    ]
    return [
        ProducerRecord(
            topic,
            partition,
            organization.encode(),
            part,
            at_ms,
            [*common, ("relay.part", f"{number}/{len(parts)}".encode())],
        )
        for number, part in enumerate(parts, 1)
    ]

"""Dead letters of the producer: records of Jira that cannot become events, with their raw JSON."""

from collections.abc import Sequence

from isal import igzip

from producer.events import Unreadable
from relay.kafka.producer import ProducerRecord

PLAIN_BYTES = 500_000
LARGEST_PART_BYTES = 900_000


def letters(
    unreadable: Unreadable, *, topic: str, partition: int, organization: str, at_ms: int, largest: int
) -> Sequence[ProducerRecord]:
    """One message, or numbered parts of one, compressed where it is large; together they hold the raw JSON untouched.

    No part is larger than `largest` bytes.
    """
    step = min(LARGEST_PART_BYTES, largest)
    compressed = len(unreadable.raw) > min(PLAIN_BYTES, step)
    content = igzip.compress(unreadable.raw, mtime=0) if compressed else unreadable.raw
    parts = [content[start : start + step] for start in range(0, len(content), step)] or [b""]
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

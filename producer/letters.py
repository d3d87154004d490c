"""Dead letters of the producer: records of Jira that cannot become events, with their raw JSON."""

import gzip
from collections.abc import Sequence

from producer.records import Unreadable
from relay.kafka.producing import Outgoing

PLAIN_BYTES = 500_000
PART_BYTES = 900_000


def letters(
    unreadable: Unreadable, *, topic: str, partition: int, organization: str, at_ms: int
) -> Sequence[Outgoing]:
    """One message, or numbered parts of one, compressed where it is large; together they hold the raw JSON untouched."""
    compressed = len(unreadable.raw) > PLAIN_BYTES
    content = gzip.compress(unreadable.raw, mtime=0) if compressed else unreadable.raw
    parts = [content[start : start + PART_BYTES] for start in range(0, len(content), PART_BYTES)] or [b""]
    common = [
        ("relay.reason", unreadable.reason.encode()),
        ("relay.service", b"producer"),
        ("relay.at", str(at_ms).encode()),
        *([("relay.encoding", b"gzip")] if compressed else []),
    ]
    return [
        Outgoing(
            topic,
            partition,
            organization.encode(),
            part,
            at_ms,
            [*common, ("relay.part", f"{number}/{len(parts)}".encode())],
        )
        for number, part in enumerate(parts, 1)
    ]

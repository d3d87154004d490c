"""What is written of a copy at a time, and what follows from a refusal. Pure."""

from collections.abc import Iterator, Sequence

from relay.dead_letters.moved import last_named
from relay.kafka import Record, TopicPartition, partition_text
from relay.kafka.publish_errors import PublishError
from relay.kafka.topics import MAX_MESSAGE_BYTES

TRANSACTION_BYTES = 4_000_000
"""Keys and values of one transaction: a slow line to the other Kafka writes them within the time of a transaction."""
DELETE_AND_REPEAT = (
    "Delete the relay's topics there (`kafka-topics.sh --delete --topic TOPIC`), and run the command again."
)


def portions(records: Sequence[Record], max_bytes: int) -> Iterator[Sequence[Record]]:
    """Yield the records in their order, each portion of at most `max_bytes` or of one record."""
    start = size = 0
    for place, record in enumerate(records):
        own = len(record.key or b"") + len(record.value or b"")
        if place > start and size + own > max_bytes:
            yield records[start:place]
            start, size = place, 0
        size += own
    if start < len(records):
        yield records[start:]


def portions_of_letters(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Yield dead letters in their order, so that none names another of its portion: the place of that one is not known yet."""
    start = 0
    for place, record in enumerate(records):
        if place > start and last_named(record) >= records[start].offset:
            yield records[start:place]
            start = place
    if start < len(records):
        yield records[start:]


def copy_failure(error: PublishError, tp: TopicPartition, bootstrap: str | None) -> str:
    """Return why a copy ended at a record that the target did not take, and what to do."""
    text = f"The copy is not whole: {partition_text(tp)} at {bootstrap} could not be written."
    setting = f"`kafka-configs.sh --bootstrap-server {bootstrap} --alter --entity-type topics --entity-name {tp.topic} --add-config"
    if error.size_refusal is not None:
        return (
            f"{text} It accepts no record or batch of {error.size_refusal.sent_bytes} bytes. Raise its max.message.bytes there ({setting}"
            f" max.message.bytes={MAX_MESSAGE_BYTES}`), or that of the cluster. {DELETE_AND_REPEAT}"
        )
    if error.time_refused:
        return (
            f"{text} Its time is too far from the clock of Kafka there, as that of a record is whose machine had a wrong clock. Let the"
            f" topic accept it ({setting} message.timestamp.after.max.ms=9223372036854775807`) until the copy is made. {DELETE_AND_REPEAT}"
        )
    return f"{text} {error} {DELETE_AND_REPEAT}"

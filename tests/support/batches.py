from collections.abc import Sequence

from consumer.delivery.batch import Rows
from consumer.formats.encoded_rows import EncodedRows
from consumer.offsets.tracker import SequenceRange, TrackedRecords
from relay.kafka import TopicPartition
from tests.support.messages import event, message

EVENTS = TopicPartition("events", 0)


def rows(encoded: Sequence[bytes], first: int = 0, separator: bytes = b",") -> Rows:
    """Rows of these bytes, made of records `first` and following of one partition."""
    records = [message(event(first + number), offset=first + number) for number in range(len(encoded))]
    sequences = (SequenceRange(EVENTS, first, first + len(encoded)),)
    return Rows(EncodedRows.of(encoded, separator), TrackedRecords(records, sequences))

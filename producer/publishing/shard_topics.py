"""The topics and the partition that a shard writes to."""

from dataclasses import dataclass, field

from producer.publishing.transaction_size import TransactionLimits
from relay.avro.codec import Encoder, InternalCodec
from relay.kafka.producer import ProducerRecord
from relay.kafka.topics import Topics


@dataclass(frozen=True, slots=True)
class ShardTopics:
    """The topics and the partition that a shard writes to, its codecs and its limits: the same in each of its transactions."""

    names: Topics
    partition: int
    event_encoder: Encoder
    limits: TransactionLimits = field(default_factory=TransactionLimits)
    checkpoint_codec: InternalCodec = field(default_factory=lambda: InternalCodec("checkpoint"))
    ledger_codec: InternalCodec = field(default_factory=lambda: InternalCodec("day_ledger"))

    def progress_record(self, key: str, value: bytes | None, at_ms: int) -> ProducerRecord:
        return ProducerRecord(self.names.progress, self.partition, key.encode(), value, at_ms)

"""What a transaction writes to the progress topic, in a size that the topic accepts. Pure."""

from collections.abc import Mapping

from producer.publishing.shard_topics import ShardTopics
from producer.state.checkpoint import Checkpoint
from producer.state.ledger import Ledger, LedgerDelta
from producer.state.smaller_checkpoint import fit_checkpoint
from relay.errors import RelayError


class ProgressTooLargeError(RelayError):
    """A ledger or the checkpoint of one organization is larger than the progress topic accepts."""


def fitting_checkpoint(checkpoint: Checkpoint, topics: ShardTopics, max_value_bytes: int) -> Checkpoint:
    """Return the checkpoint in a form that the progress topic accepts. Raises ProgressTooLargeError."""

    def size_of(one: Checkpoint) -> int:
        return len(topics.checkpoint_codec.encode(one.to_record()))

    fitting = fit_checkpoint(checkpoint, size_of, max_value_bytes)
    if fitting is None:
        topic = topics.names.progress
        raise ProgressTooLargeError(
            f"Its checkpoint has {size_of(checkpoint)} bytes, and Kafka accepts {max_value_bytes}. Nothing more of it is"
            f" published until max.message.bytes of {topic} is raised: `kafka-configs.sh --alter --topic {topic}"
            " --add-config max.message.bytes=1048588`."
        )
    return fitting


def ledger_values(
    ledger: Ledger, delta: LedgerDelta, topics: ShardTopics, max_value_bytes: int
) -> Mapping[str, bytes | None]:
    """Return the ledgers to write, by key; None is a tombstone."""
    values = {
        key: None if record is None else topics.ledger_codec.encode(record)
        for key, record in ledger.to_records(delta).items()
    }
    for key, value in values.items():
        if value is not None and len(value) > max_value_bytes:
            raise ProgressTooLargeError(
                f"The ledger of {key} has {len(value)} bytes, and Kafka accepts {max_value_bytes}. Nothing more of that"
                f" day is published until max.message.bytes of {topics.names.progress} is raised."
            )
    return values

"""The claims on the topic of destinations."""

from dataclasses import asdict
from typing import Any

from consumer.targets.target import Claim, Target
from relay.avro.codec import BadBody, InternalCodec, NotAvro, UnknownSchema
from relay.errors import RelayError, describe
from relay.kafka import KafkaError
from relay.kafka.connection import Connection
from relay.kafka.log_reader import CorruptBatchError, NoTopicError
from relay.kafka.producer import RecordWriter, TopicWriteError
from relay.kafka.tables import read_table


class ClaimUnknownError(RelayError):
    """Nobody can say which target a name belongs to: the topic is missing, hidden or damaged, or its record is of a later release."""


class ClaimStore:
    """Reads and writes the claims of one installation."""

    def __init__(self, connection: Connection, topic: str) -> None:
        self._connection = connection
        self._topic = topic
        self._codec = InternalCodec("destination")

    async def read(self, name: str) -> Claim | None:
        """Return the claim of a destination; None: there is none. Raises ClaimUnknownError, or RelayError for a later attempt."""
        try:
            record = (await read_table(self._connection, self._topic)).get(name.encode())
            return None if record is None else _claim(self._codec.decode(record.value or b""))
        except (NoTopicError, CorruptBatchError) as error:
            raise ClaimUnknownError(str(error)) from error
        except KafkaError as error:
            if error.retriable:
                raise
            raise ClaimUnknownError(f"{self._topic} cannot be read: {describe(error)}.") from error
        except (NotAvro, BadBody, UnknownSchema) as error:
            raise ClaimUnknownError(
                f"The record {name} of {self._topic} cannot be read ({error})."
            ) from error

    async def write(self, name: str, claim: Claim) -> None:
        """Write a claim in place of a former one. Raises ClaimUnknownError when Kafka does not confirm it."""
        value = self._codec.encode(
            asdict(claim) | {"target": claim.target.digest, "address": claim.target.address}
        )
        try:
            async with RecordWriter(self._connection) as writer:
                await writer.send(self._topic, name.encode(), value)
        except TopicWriteError as error:
            raise ClaimUnknownError(str(error)) from error


def _claim(record: dict[str, Any]) -> Claim:
    return Claim(Target(record["target"], record["address"]), record["at"], record["confirmed"])

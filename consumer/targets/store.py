"""The claims on the topic of destinations."""

from dataclasses import asdict
from typing import Any

from consumer.destinations.contract import Flow
from consumer.targets.target import Claim, Claims, Target, judge_claims
from relay.avro.codec import BadBody, InternalCodec, NotAvro, UnknownSchema
from relay.errors import RelayError, describe
from relay.kafka import KAFKA_FAILURES, KafkaError
from relay.kafka.compacted_topics import read_key
from relay.kafka.connection import Connection
from relay.kafka.log_reader import CorruptBatchError, NoTopicError
from relay.kafka.producer import RecordWriter, TopicWriteError


class ClaimUnknownError(RelayError):
    """Nobody can say which target a name belongs to: the topic is missing, hidden or corrupt, or its record is of a later release."""


def claim_key(destination: str, flow: Flow) -> str:
    """Return the key of a claim: that of the live events is the name itself, as the name of their group is."""
    return destination if flow == "live" else f"{destination}.{flow}"


class ClaimStore:
    """Reads and writes the claims of one installation."""

    def __init__(self, connection: Connection, topic: str) -> None:
        self._connection = connection
        self._topic = topic
        self._codec = InternalCodec("destination")

    async def read(self, key: str) -> Claims:
        """Return the claims of a key. Raises ClaimUnknownError, or an error of KAFKA_FAILURES for a later attempt."""
        try:
            records = await read_key(self._connection, self._topic, key.encode())
            return judge_claims(_claim(self._codec.decode(each.value or b"")) for each in records)
        except (NoTopicError, CorruptBatchError) as error:
            raise ClaimUnknownError(str(error)) from error
        except KafkaError as error:
            if error.retriable:
                raise
            raise ClaimUnknownError(f"{self._topic} cannot be read: {describe(error)}.") from error
        except (NotAvro, BadBody, UnknownSchema) as error:
            raise ClaimUnknownError(f"The record {key} of {self._topic} cannot be read ({error}).") from error

    async def write(self, key: str, claim: Claim) -> None:
        """Write a claim behind the former ones.

        Raises ClaimUnknownError when Kafka refuses it, or an error of KAFKA_FAILURES when it may be on the topic or not.
        """
        value = self._codec.encode(
            asdict(claim) | {"target": claim.target.digest, "address": claim.target.address}
        )
        try:
            async with RecordWriter(self._connection) as writer:
                await writer.send(self._topic, key.encode(), value)
        except TopicWriteError as error:
            if _may_pass(error.__cause__):
                raise KafkaError(str(error).removesuffix(".")) from error
            raise ClaimUnknownError(str(error)) from error


def _may_pass(cause: BaseException | None) -> bool:
    """Return whether a later write may succeed: Kafka did not answer, or not all of it runs."""
    return isinstance(cause, KAFKA_FAILURES) and (not isinstance(cause, KafkaError) or bool(cause.retriable))


def _claim(record: dict[str, Any]) -> Claim:
    return Claim(Target(record["target"], record["address"]), record["at"], record["confirmed"])

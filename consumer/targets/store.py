"""The claims and the pauses on the topic of destinations."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Literal

from consumer.destinations.contract import Flow
from consumer.targets.target import Claim, Claims, Pause, Target, judge_claims
from relay.avro.codec import BadBody, InternalCodec, NotAvro, UnknownSchema
from relay.errors import RelayError, describe
from relay.kafka import KAFKA_FAILURES, KafkaError
from relay.kafka.compacted_topics import read_keys
from relay.kafka.connection import Connection
from relay.kafka.log_reader import CorruptBatchError, NoTopicError
from relay.kafka.producer import RecordWriter, TopicWriteError


class ClaimUnknownError(RelayError):
    """Nobody can say which target a name belongs to: the topic is missing, hidden or corrupt, or its record is of a later release."""


def claim_key(destination: str, flow: Flow) -> str:
    """Return the key of a claim: that of the live events is the name itself, as the name of their group is."""
    return destination if flow == "live" else f"{destination}.{flow}"


def pause_key(destination: str) -> str:
    """Return the key of the record that says whether an operator has paused the destination; no flow has this name."""
    return f"{destination}.state"


class ClaimStore:
    """Reads and writes the claims and the pauses of one installation."""

    def __init__(self, connection: Connection, topic: str) -> None:
        self._connection = connection
        self._topic = topic
        self._codec = InternalCodec("destination")
        self._state_codec = InternalCodec("destination_state")

    async def read(self, destination: str, flow: Flow) -> Claims:
        """Return the claims of a flow, and the pause of its destination.

        Raises ClaimUnknownError, or an error of KAFKA_FAILURES for a later attempt.
        """
        key = claim_key(destination, flow).encode()
        state_key = pause_key(destination).encode()
        try:
            records = await read_keys(self._connection, self._topic, {key, state_key})
            return judge_claims(
                (_claim(self._codec.decode(each.value or b"")) for each in records[key]),
                _pause(self._state_codec.decode(records[state_key][-1].value or b""))
                if records[state_key]
                else None,
            )
        except (NoTopicError, CorruptBatchError) as error:
            raise ClaimUnknownError(str(error)) from error
        except KafkaError as error:
            if error.retriable:
                raise
            raise ClaimUnknownError(f"{self._topic} cannot be read: {describe(error)}.") from error
        except (NotAvro, BadBody, UnknownSchema) as error:
            raise ClaimUnknownError(
                f"A record of {destination} on {self._topic} cannot be read ({error})."
            ) from error

    async def read_pauses(self, destinations: Iterable[str]) -> dict[str, Pause]:
        """Return the pauses of those destinations that an operator has paused.

        Raises ClaimUnknownError, or an error of KAFKA_FAILURES for a later attempt.
        """
        keys = {name: pause_key(name).encode() for name in destinations}
        try:
            records = await read_keys(self._connection, self._topic, set(keys.values()))
            pauses = {
                name: _pause(self._state_codec.decode(records[key][-1].value or b""))
                for name, key in keys.items()
                if records[key]
            }
        except (NoTopicError, CorruptBatchError, NotAvro, BadBody, UnknownSchema) as error:
            raise ClaimUnknownError(
                f"Whether a destination is paused cannot be read from {self._topic}: {error}"
            ) from error
        return {name: pause for name, pause in pauses.items() if pause is not None}

    async def write(self, destination: str, flow: Flow, claim: Claim) -> None:
        """Write a claim behind the former ones.

        Raises ClaimUnknownError when Kafka refuses it, or an error of KAFKA_FAILURES when it may be on the topic or not.
        """
        value = self._codec.encode(
            asdict(claim) | {"target": claim.target.digest, "address": claim.target.address}
        )
        await self._write(claim_key(destination, flow), value)

    async def write_state(self, destination: str, state: Literal["running", "paused"], pause: Pause) -> None:
        """Write whether the destination is paused, since when and by whom; failures as for `write`."""
        await self._write(pause_key(destination), self._state_codec.encode({"state": state, **asdict(pause)}))

    async def _write(self, key: str, value: bytes) -> None:
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


def _pause(record: dict[str, Any]) -> Pause | None:
    return None if record["state"] == "running" else Pause(record["at"], record["who"])


def _claim(record: dict[str, Any]) -> Claim:
    return Claim(Target(record["target"], record["address"]), record["at"], record["confirmed"])

"""The claims and the pauses on the topic of destinations."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any, Literal

from consumer.destinations.contract import Flow
from consumer.targets.target import Claim, Claims, Pause, Target, judge_claims
from relay.avro.codec import BadBody, InternalCodec, NotAvro, UnknownSchema
from relay.errors import RelayError, describe
from relay.kafka import KAFKA_FAILURES, KafkaError, Record
from relay.kafka.compacted_topics import read_keys
from relay.kafka.connection import Connection
from relay.kafka.log_reader import CorruptBatchError, NoTopicError
from relay.kafka.producer import RecordWriter, TopicWriteError

_UNREADABLE = (NotAvro, BadBody, UnknownSchema)


class ClaimUnknownError(RelayError):
    """Nobody can say which target a name belongs to: the topic is missing, hidden or corrupt, or its record is of a later release."""

    def __init__(self, text: str, state: Claims | None = None) -> None:
        """`state`: what the record of the pause says; None: it was not read either."""
        super().__init__(text)
        self.state = state


class UnreadablePauseError(ClaimUnknownError):
    """The record of a pause cannot be read; a new record replaces it."""


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
        except (NoTopicError, CorruptBatchError) as error:
            raise ClaimUnknownError(str(error)) from error
        except KafkaError as error:
            if error.retriable:
                raise
            raise ClaimUnknownError(f"{self._topic} cannot be read: {describe(error)}.") from error
        return self._decode(destination, records[key], records[state_key])

    def _decode(self, destination: str, claims: Sequence[Record], states: Sequence[Record]) -> Claims:
        """Return the claims and the pause. A record that cannot be read says nothing, and does not hide what the other one says."""
        pause, pause_unknown = None, None
        try:
            pause = _pause(self._state_codec.decode(states[-1].value or b"")) if states else None
        except _UNREADABLE as error:
            pause_unknown = (
                f"The record of the pause of {destination} on {self._topic} cannot be read ({error})."
            )
        try:
            decoded = [_claim(self._codec.decode(each.value or b"")) for each in claims]
        except _UNREADABLE as error:
            raise ClaimUnknownError(
                f"A record of {destination} on {self._topic} cannot be read ({error}).",
                Claims(pause=pause, pause_unknown=pause_unknown),
            ) from error
        return replace(judge_claims(decoded, pause), pause_unknown=pause_unknown)

    async def read_pauses(self, destinations: Iterable[str]) -> dict[str, Pause]:
        """Return the pauses of those destinations that an operator has paused.

        Raises ClaimUnknownError (UnreadablePauseError for a record), or an error of KAFKA_FAILURES for a later attempt.
        """
        keys = {name: pause_key(name).encode() for name in destinations}
        try:
            records = await read_keys(self._connection, self._topic, set(keys.values()))
            pauses = {name: decode_pause(records[key][-1]) for name, key in keys.items() if records[key]}
        except (NoTopicError, CorruptBatchError) as error:
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


def decode_pause(record: Record) -> Pause | None:
    """Return the pause in the latest record of a pause key; None: the destination runs. Raises RelayError if it cannot be read."""
    try:
        return _pause(InternalCodec("destination_state").decode(record.value or b""))
    except _UNREADABLE as error:
        raise UnreadablePauseError(
            f"Whether a destination is paused cannot be read from {record.topic}: {error} `jira-relay destinations pause` and"
            " `resume` of this release replace the record."
        ) from error


def _pause(record: dict[str, Any]) -> Pause | None:
    return None if record["state"] == "running" else Pause(record["at"], record["who"])


def _claim(record: dict[str, Any]) -> Claim:
    return Claim(Target(record["target"], record["address"]), record["at"], record["confirmed"])

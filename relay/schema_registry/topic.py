"""Schemas on a Kafka topic, for installations without a registry."""

from typing import Protocol

from relay.avro.codec import Fingerprint
from relay.errors import RelayError, describe
from relay.kafka import KafkaError
from relay.kafka.compacted_topics import read_table
from relay.kafka.connection import Connection
from relay.kafka.producer import RecordWriter


class SchemaTextStore(Protocol):
    """The texts of schemas that no registry holds, by fingerprint. Both methods raise RelayError."""

    async def get(self, fingerprint: Fingerprint) -> bytes | None: ...
    async def put(self, fingerprint: Fingerprint, text: str) -> None: ...


class SchemaTopic:
    """The topic `….schemas`: from fingerprint, as 16 hex digits, to the text of the schema."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._name = name

    async def get(self, fingerprint: Fingerprint) -> bytes | None:
        """Return the text of a schema, None if the topic has none. Raises RelayError if Kafka does not answer.

        Each call reads the topic anew: a schema is there before the first message that refers to it.
        """
        try:
            table = await read_table(self._connection, self._name)
        except (KafkaError, TimeoutError, OSError) as error:
            raise RelayError(
                f"The topic {self._name} cannot be read: {describe(error)}. Run `jira-relay check`."
            ) from error
        record = table.get(_key(fingerprint))
        return record.value if record else None

    async def put(self, fingerprint: Fingerprint, text: str) -> None:
        """Write a schema. When this returns, every reader can see it. Raises RelayError."""
        async with RecordWriter(self._connection) as writer:
            await writer.send(self._name, _key(fingerprint), text.encode())


def _key(fingerprint: Fingerprint) -> bytes:
    return fingerprint.value.hex().encode()

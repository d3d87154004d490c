"""Changes to the organizations that are followed: each one is committed together with its record in the history."""

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from management.organizations.store import decode_organization, kafka_errors_as_relay_errors
from management.organizations.view import public_view
from relay.avro.codec import InternalCodec
from relay.errors import RelayError
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import read_table
from relay.kafka.producer import ProducerRecord
from relay.kafka.topic_admin import read_shard_count
from relay.kafka.topics import Topics, partition_of
from relay.kafka.transactions import Publisher, PublishError
from relay.organizations import Organization, OrganizationCodec

EDIT_SECONDS = 40.0
MAX_ATTEMPTS = 12

OrganizationEdit = Callable[[Organization | None], Organization | None]


class StaleEditError(RelayError):
    """The organization was changed by somebody else meanwhile; nothing was done."""


async def edit_organization(
    connection: Connection,
    name: str,
    change: OrganizationEdit,
    *,
    what: str,
    who: str,
    now_ms: int,
    revision: int | None = None,
    allow_unreadable: bool = False,
    misplaced: Sequence[Record] = (),
) -> Organization | None:
    """Change one organization and write down who did it, in one transaction that fences other editors.

    `change` gets the organization as it stands (None: there is none) and returns it as it should be (None: deleted);
    what it raises goes through, and nothing has been done. It is asked again when another editor came between. With
    `revision`, an organization that has changed since is refused (StaleEditError); with `allow_unreadable`, one that cannot be read
    counts as none; `misplaced` are removed with it. Raises RelayError when Kafka cannot be reached; PublishError means that nobody knows whether it was done.
    """
    fenced_edit = _FencedEdit(
        connection, name, change, what, who, now_ms, revision, allow_unreadable, misplaced
    )
    with kafka_errors_as_relay_errors(connection):
        async with asyncio.timeout(EDIT_SECONDS):
            partition = partition_of(name, await read_shard_count(connection))
            for attempt in range(MAX_ATTEMPTS):
                try:
                    return await fenced_edit.attempt(partition)
                except PublishError as error:
                    if not error.fenced:
                        raise _unknown_outcome_error(name, error) from error
                await asyncio.sleep(random.uniform(0, 0.4) * (attempt + 1))
    raise StaleEditError(
        f"{name} was not changed: others are changing organizations all the time; try again."
    )


@dataclass(frozen=True, slots=True)
class _FencedEdit:
    connection: Connection
    name: str
    change: OrganizationEdit
    what: str
    who: str
    now_ms: int
    revision: int | None
    allow_unreadable: bool
    misplaced: Sequence[Record]

    async def attempt(self, partition: int) -> Organization | None:
        topics = Topics(self.connection.kafka.topic_prefix)
        publisher = await Publisher.open(self.connection, f"{topics.organizations}.{partition}")
        try:
            await publisher.end_hanging([TopicPartition(topics.organizations, partition)])
            table = await read_table(self.connection, topics.organizations, [partition])
            before = self._decode(table.get(self.name.encode()))
            _refuse_stale(self.name, before, self.revision)
            after = _with_revision(before, self.change(before), self.now_ms)
            await publisher.publish(self._records(topics, partition, before, after))
        finally:
            await publisher.discard()
        return after

    def _decode(self, record: Record | None) -> Organization | None:
        try:
            return None if record is None else decode_organization(record)
        except RelayError:
            if self.allow_unreadable:
                return None
            raise

    def _records(
        self, topics: Topics, partition: int, before: Organization | None, after: Organization | None
    ) -> list[ProducerRecord]:
        value = None if after is None else OrganizationCodec().encode(after)
        history = InternalCodec("change").encode(
            {
                "organization": self.name,
                "at": self.now_ms,
                "who": self.who,
                "what": self.what,
                "before": None if before is None else json.dumps(public_view(before)),
                "after": None if after is None else json.dumps(public_view(after)),
            }
        )
        key = self.name.encode()
        return [
            ProducerRecord(topics.organizations, partition, key, value),
            ProducerRecord(topics.changes, 0, key, history),
            *(
                ProducerRecord(topics.organizations, stray.partition, stray.key or b"", None)
                for stray in self.misplaced
            ),
        ]


def _unknown_outcome_error(name: str, error: PublishError) -> PublishError:
    return PublishError(
        f"Nobody knows whether the change of {name} was done: {error}"
        f" Look at it (jira-relay organizations show {name}) before you repeat it."
    )


def _refuse_stale(name: str, before: Organization | None, revision: int | None) -> None:
    if revision is not None and (before is None or before.revision != revision):
        raise StaleEditError(
            f"{name} has been changed by somebody else meanwhile; look at it again, then repeat the change."
        )


def _with_revision(
    before: Organization | None, after: Organization | None, now_ms: int
) -> Organization | None:
    if after is None:
        return None
    return replace(after, revision=before.revision + 1 if before else 1, modified=now_ms)

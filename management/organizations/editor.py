"""One edit of an organization: the change and its entry in the change log, in one transaction that fences other editors."""

import asyncio
import json
import random
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from management.organizations.changes import change_facts
from management.organizations.store import decode_organization, kafka_errors_as_relay_errors
from management.organizations.timing import EditTiming
from relay.avro.codec import InternalCodec
from relay.errors import RelayError
from relay.kafka import Record, TopicPartition, is_refusal
from relay.kafka.compacted_topics import read_table
from relay.kafka.connection import Connection
from relay.kafka.producer import ProducerRecord
from relay.kafka.publish_errors import PublishError
from relay.kafka.topic_admin import read_shard_count
from relay.kafka.topics import Topics, partition_of
from relay.kafka.transactions import TransactionalProducer
from relay.organizations import Organization, OrganizationCodec

OrganizationEdit = Callable[[Organization | None], Organization | None]
"""Maps the stored organization to the edited one. None: it does not exist; returning None deletes it."""


class StaleEditError(RelayError):
    """Another operator has changed the organization in the meantime; nothing was changed."""


async def edit_organization(
    connection: Connection,
    name: str,
    change: OrganizationEdit,
    *,
    action: str,
    author: str,
    now_ms: int,
    etag: str | None = None,
    allow_unreadable: bool = False,
    misplaced: Sequence[Record] = (),
    timing: EditTiming | None = None,
) -> Organization | None:
    """Edit one organization, with an entry in the change log; return it as edited.

    `change` may be called several times, when another editor fences this one; what it raises passes through, and nothing is
    changed. `etag`: raise StaleEditError when the organization has another one. `allow_unreadable`: treat an unreadable
    organization as absent. `misplaced`: records to remove in the same transaction. Raises RelayError when Kafka cannot be
    reached, and PublishError when the outcome is unknown.
    """
    timing = timing or EditTiming()
    edit = _FencedEdit(connection, name, change, action, author, now_ms, etag, allow_unreadable, misplaced)
    with kafka_errors_as_relay_errors(connection):
        async with asyncio.timeout(timing.seconds):
            return await _run_until_committed(edit, timing)


async def _run_until_committed(edit: "_FencedEdit", timing: EditTiming) -> Organization | None:
    """Try the edit until no other editor fences it, at most `timing.attempts` times, with a random wait before each repetition."""
    partition = partition_of(edit.name, await read_shard_count(edit.connection))
    for attempt in range(timing.attempts):
        try:
            return await edit.attempt(partition)
        except PublishError as error:
            if _lacks_right(error):
                raise _missing_right_error(edit, error) from error
            if error.size_refusal is not None and edit.connection.profile.transactions:
                raise RelayError(f"{edit.name} was not changed. {error}") from error
            if not error.fenced:
                raise _unknown_outcome_error(edit.name, error) from error
        await asyncio.sleep(random.uniform(0, timing.longest_first_wait_seconds) * (attempt + 1))
    raise StaleEditError(
        f"{edit.name} was not changed: other operators' changes interrupted each of {timing.attempts} attempts. Try again."
    )


@dataclass(frozen=True, slots=True)
class _FencedEdit:
    """One edit. Editors of a partition share a transactional id, so at most one of them commits at a time."""

    connection: Connection
    name: str
    change: OrganizationEdit
    action: str
    author: str
    now_ms: int
    etag: str | None
    allow_unreadable: bool
    misplaced: Sequence[Record]

    async def attempt(self, partition: int) -> Organization | None:
        """Edit the organization in one transaction.

        1. Opening the producer fences every other editor of this partition.
        2. A transaction that an older editor left open hides later records, so it is ended before the table is read.
        3. The edit sees the last committed state, and commits only if no other editor has fenced this one since.
        """
        topics = Topics(self.connection.kafka.topic_prefix)
        with _refused_before_writing(self):
            producer = await TransactionalProducer.open(
                self.connection, f"{topics.organizations}.{partition}"
            )
        try:
            with _refused_before_writing(self):
                await producer.end_hanging([TopicPartition(topics.organizations, partition)])
            table = await read_table(self.connection, topics.organizations, [partition])
            before = self._decode(table.get(self.name.encode()))
            refuse_stale(self.name, before, self.etag)
            after = _with_revision(before, self.change(before), self.now_ms)
            try:
                await producer.publish(self._records(topics, partition, before, after))
            except PublishError as error:
                if error.fenced or error.timed_out or producer.may_be_written or error.size_refusal:
                    raise
                raise _unchanged_error(self, error) from error  # the transaction has no commit
        finally:
            await producer.discard()
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
        facts = change_facts(before, after, self.action)
        old, new = (None if each is None else json.dumps(each) for each in facts)
        change = InternalCodec("change").encode(
            {
                "organization": self.name,
                "at": self.now_ms,
                "who": self.author,
                "what": self.action,
                "before": old,
                "after": new,
            }
        )
        key = self.name.encode()
        return [
            ProducerRecord(topics.organizations, partition, key, value),
            ProducerRecord(topics.changes, 0, key, change),
            *(
                ProducerRecord(topics.organizations, record.partition, record.key or b"", None)
                for record in self.misplaced
            ),
        ]


@contextmanager
def _refused_before_writing(edit: _FencedEdit) -> Iterator[None]:
    """Say of a failure in front of the publication that nothing was changed: no record of the edit has been sent."""
    try:
        yield
    except PublishError as error:
        raise _unchanged_error(edit, error) from error


def _unchanged_error(edit: _FencedEdit, error: PublishError) -> RelayError:
    return (
        _missing_right_error(edit, error)
        if _lacks_right(error)
        else RelayError(f"{edit.name} was not changed. {error}")
    )


def _missing_right_error(edit: _FencedEdit, error: PublishError) -> RelayError:
    return RelayError(
        f"{edit.name} was not changed, because the user of {edit.connection.bootstrap} lacks a right: {error}"
        " `jira-relay check --rights operator` names the right and the command that grants it."
    )


def _lacks_right(error: PublishError) -> bool:
    """Return whether Kafka refused the transaction, which it then never commits."""
    return is_refusal(error.__cause__)


def _unknown_outcome_error(name: str, error: PublishError) -> PublishError:
    return PublishError(
        f"The outcome of the change of {name} is unknown: {error}"
        f" Check it with `jira-relay organizations show {shlex.quote(name)}` before you repeat the change."
    )


def refuse_stale(name: str, before: Organization | None, etag: str | None) -> None:
    """Raise StaleEditError if the organization has another entity tag than this one; None: any will do."""
    if etag is not None and (before is None or before.etag != etag):
        raise StaleEditError(
            f"Another operator changed {name} in the meantime, so this change was not made. Check"
            f" `jira-relay organizations show {shlex.quote(name)}`, then repeat the change."
        )


def _with_revision(
    before: Organization | None, after: Organization | None, now_ms: int
) -> Organization | None:
    if after is None:
        return None
    return replace(after, revision=before.revision + 1 if before else 1, modified=now_ms)

"""The seals on the topic `….seals`, as chains."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from management.completeness.export import StoredSeal
from management.completeness.signature import SignedStatement
from management.completeness.verifier import SealChain
from relay.avro.codec import BadBody, InternalCodec, NotAvro, UnknownSchema
from relay.errors import RelayError
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import (
    NoTopicError,
    partitions_of,
    read_to_end,
    records_at,
    stable_bounds,
    standalone_consumer,
)
from relay.kafka.producer import ProducerRecord
from relay.kafka.topics import Topics

PARTITION = 0
_UNREADABLE = (NotAvro, BadBody, UnknownSchema, ValueError, KeyError, TypeError)
_REPEATED = ("organization", "day", "sequence", "edition")


@dataclass(frozen=True, slots=True)
class StoredChain:
    """The seals of one organization in their order. `fault`: why the chain is broken, with the place; None: it is whole."""

    seals: Sequence[StoredSeal]
    chain: SealChain
    fault: str | None = None


async def read_chains(connection: Connection) -> Mapping[str, StoredChain]:
    """Return the chains by organization. Raises RelayError for a record that cannot be read, or an error of KAFKA_FAILURES."""
    tp = TopicPartition(Topics(connection.kafka.topic_prefix).seals, PARTITION)
    latest, found, deleted = dict[bytes, Record](), dict[str, list[StoredSeal]](), dict[str, str]()

    def keep(record: Record) -> None:
        latest[record.key or b""] = record

    async with standalone_consumer(connection) as consumer:
        try:
            await partitions_of(consumer, tp.topic)
        except NoTopicError as error:
            raise no_topic_error(error) from error
        bounds = (await stable_bounds(consumer, [tp]))[tp]
        await read_to_end(consumer, {tp: bounds.log_start_offset}, {tp: bounds.last_stable_offset}, keep)
    for key, record in latest.items():
        name, day, edition = key_parts(key) or ("", "", 0)
        if record.value is not None and edition:
            found.setdefault(name, []).append(decode_seal(record))
        elif edition:
            deleted[name] = deleted_seal(name, day, edition)
    chains = {name: chain_of(name, found.get(name, ())) for name in sorted({*found, *deleted})}
    return {name: replace(each, fault=each.fault or deleted.get(name)) for name, each in chains.items()}


def deleted_seal(organization: str, day: str, edition: int) -> str:
    """Return why a chain is broken of which somebody has deleted a seal."""
    return f"{organization}, {day}: edition {edition} of its seal was deleted."


async def require_topic(connection: Connection) -> None:
    """Raise RelayError if the topic of seals does not exist, as after an upgrade."""
    try:
        async with standalone_consumer(connection) as consumer:
            await partitions_of(consumer, Topics(connection.kafka.topic_prefix).seals)
    except NoTopicError as error:
        raise no_topic_error(error) from error


def no_topic_error(error: NoTopicError) -> RelayError:
    """Return the error that says what cannot be done without the topic."""
    return RelayError(f"No day can be sealed or shown without the topic of seals. {error}")


def chain_of(organization: str, seals: Sequence[StoredSeal]) -> StoredChain:
    """Return the chain of seals that come in any order. Pure.

    The last seal names the hash of the one before, and so on, so its signature holds for all of them.
    """
    ordered, chain = sorted(seals, key=lambda each: each.statement["sequence"]), SealChain()
    for each in ordered:
        try:
            fault = chain.add(each.statement, each.signed.hash)
        except (KeyError, TypeError, ValueError, OverflowError):
            fault = "it has not the form of a seal"
        if fault is not None:
            place = f"{organization}, {each.statement['day']}, seal {each.statement['sequence']}"
            return StoredChain(ordered, chain, f"{place}: {fault}.")
    if ordered and ordered[0].statement["sequence"] != 1:
        return StoredChain(
            ordered, chain, f"{organization}: the seals before {ordered[0].statement['day']} are missing."
        )
    if ordered and not ordered[-1].signed.is_signed_by(ordered[-1].statement["key"]):
        place = f"{organization}, {ordered[-1].statement['day']}, seal {chain.sequence}"
        return StoredChain(ordered, chain, f"{place}: the signature is wrong.")
    return StoredChain(ordered, chain)


def key_parts(key: bytes | None) -> tuple[str, str, int] | None:
    """Return organization, day and edition of a key. Edition 0: the account of a day without a seal. None: it is no such key."""
    parts = (key or b"").decode("utf-8", "replace").rsplit(" ", 2)
    return (parts[0], parts[1], int(parts[2])) if len(parts) == 3 and parts[2].isdecimal() else None


async def read_day(connection: Connection, offsets: Sequence[int]) -> list[StoredSeal]:
    """Return the records of a day at their places on the topic. One that Kafka has no more is left out.

    Raises RelayError for a record that cannot be read, or an error of KAFKA_FAILURES.
    """
    tp, found = TopicPartition(Topics(connection.kafka.topic_prefix).seals, PARTITION), list[StoredSeal]()
    for offset in offsets:
        record = (await records_at(connection, {tp: offset})).get(tp)
        if record is not None and record.value is not None:
            found.append(decode_seal(record))
    return found


def decode_seal(record: Record) -> StoredSeal:
    """Return the seal of a record. Raises RelayError."""
    try:
        found = InternalCodec("day_seal").decode(record.value or b"")
        statement = json.loads(found["statement"])
        if any(statement[name] != found[name] for name in _REPEATED):
            raise ValueError("its statement is of another seal")
        return StoredSeal(SignedStatement(found["statement"], found["signature"]), statement)
    except _UNREADABLE as error:
        raise RelayError(
            f"The seal at offset {record.offset} of {record.topic} cannot be read ({error}). A newer release may have written it."
        ) from error


def account_record(topic: str, account: SignedStatement) -> ProducerRecord:
    """Return the record of the account of a day without a seal."""
    return seal_record(topic, StoredSeal(account, json.loads(account.text)))


def removed_account(topic: str, organization: str, day: str) -> ProducerRecord:
    """Return the record that takes the account of a day away, as its seal comes."""
    return ProducerRecord(topic, PARTITION, f"{organization} {day} 0".encode(), None)


def seal_record(topic: str, seal: StoredSeal) -> ProducerRecord:
    """Return the record of a seal. The key has the edition, so that compaction removes no link of a chain."""
    statement = seal.statement
    value = InternalCodec("day_seal").encode(
        {name: statement[name] for name in _REPEATED}
        | {"statement": seal.signed.text, "signature": seal.signed.signature}
    )
    key = f"{statement['organization']} {statement['day']} {statement['edition']}"
    return ProducerRecord(topic, PARTITION, key.encode(), value)

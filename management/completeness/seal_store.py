"""The seals on the topic `….seals`, as chains."""

import json
import re
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
_KEY = re.compile(r"(.+) (\S+) ([0-9]{1,9})", re.DOTALL)
_UNREADABLE = (NotAvro, BadBody, UnknownSchema, ValueError, KeyError, TypeError)
_REPEATED = ("organization", "day", "sequence", "edition")


@dataclass(frozen=True, slots=True)
class StoredChain:
    """The seals of one organization in their order. `fault`: why the chain is broken, with the place; None: it is whole."""

    seals: Sequence[StoredSeal]
    chain: SealChain
    fault: str | None = None


async def read_chains(connection: Connection) -> Mapping[str, StoredChain]:
    """Return the chains by organization. A record that cannot be read breaks the chain that its key names, and no other.

    Raises RelayError for a batch that cannot be read, or an error of KAFKA_FAILURES.
    """
    tp = TopicPartition(Topics(connection.kafka.topic_prefix).seals, PARTITION)
    latest, found, faults = dict[bytes, Record](), dict[str, list[StoredSeal]](), dict[str, str]()

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
        parts = key_parts(key)
        if parts is None or not parts[2]:
            continue
        name, day, edition = parts
        if record.value is None:
            faults[name] = deleted_seal(name, day, edition)
            continue
        try:
            found.setdefault(name, []).append(keyed_seal(record, parts))
        except RelayError as error:
            faults[name] = str(error)
    chains = {name: chain_of(name, found.get(name, ())) for name in sorted({*found, *faults})}
    return {name: replace(each, fault=each.fault or faults.get(name)) for name, each in chains.items()}


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
    parts = _KEY.fullmatch((key or b"").decode("utf-8", "replace"))
    return None if parts is None else (parts[1], parts[2], int(parts[3]))


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


def keyed_seal(record: Record, parts: tuple[str, str, int]) -> StoredSeal:
    """Return the seal of a record with this key. Raises RelayError, also for one whose statement is of another day."""
    name, day, edition = parts
    try:
        seal = decode_seal(record)
    except RelayError as error:
        raise RelayError(f"{name}, {day}: {error}") from error
    statement = seal.statement
    if (statement["organization"], statement["day"], statement["edition"]) != (name, day, edition):
        raise RelayError(f"{name}, {day}: the record at offset {record.offset} is of another day.")
    return seal


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

"""The organizations topic, as it is: readable, unreadable and misplaced records."""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from relay.avro.codec import BadBody, NotAvro, UnknownSchema
from relay.errors import RelayError, describe
from relay.kafka import KafkaError, Record, is_refusal
from relay.kafka.compacted_topics import read_tables
from relay.kafka.connection import Connection
from relay.kafka.log_reader import CorruptBatchError
from relay.kafka.topics import Topics, partition_of
from relay.organizations import Organization, OrganizationCodec

log = structlog.get_logger(__name__)


class UnknownOrganizationError(RelayError):
    """No organization has this name."""


class UnreadableOrganizationError(RelayError):
    """The record of the organization cannot be read. A later attempt fails too, until it is deleted."""


@contextmanager
def kafka_errors_as_relay_errors(connection: Connection) -> Iterator[None]:
    """Turn what Kafka's client raises into a RelayError."""
    try:
        yield
    except (KafkaError, TimeoutError, OSError) as error:
        if is_refusal(error):
            raise RelayError(
                f"Kafka at {connection.bootstrap} refused a request, because its user lacks a right: {describe(error)}."
                " `jira-relay check --rights operator` names the right and the command that grants it."
            ) from error
        raise RelayError(
            f"A request to Kafka at {connection.bootstrap} failed: {describe(error)}."
            " Try again; if the failure lasts, see the log of the broker."
        ) from error


@dataclass(frozen=True, slots=True)
class StoredOrganizations:
    """The content of the organizations topic, by name."""

    organizations: Mapping[str, Organization]
    unreadable: Mapping[str, str]
    """The reason why each of these records cannot be read."""
    misplaced: Mapping[str, Sequence[Record]]
    """Records that no producer reads: the key belongs to another partition, or is not a name."""
    corrupt_batches: Mapping[str, str] = field(default_factory=dict)
    """A sentence for each batch that cannot be read, by its place."""

    @property
    def problems(self) -> list[tuple[str, str]]:
        """The name and a sentence for the operator, for each unreadable or misplaced record, sorted."""
        misplaced = (
            (name, _misplaced_message(name, records, known=name in self.organizations))
            for name, records in self.misplaced.items()
        )
        return sorted((*self.unreadable.items(), *misplaced, *self.corrupt_batches.items()))


async def read_store(connection: Connection) -> StoredOrganizations:
    """Read the organizations topic, past batches that cannot be read. Raises RelayError when Kafka does not answer."""
    corrupt_batches: list[CorruptBatchError] = []
    with kafka_errors_as_relay_errors(connection):
        await connection.verify()
        topic = Topics(connection.kafka.topic_prefix).organizations
        tables = await read_tables(connection, topic, on_corrupt=corrupt_batches.append)
    records = (record for table in tables.values() for record in table.values())
    return build_store(records, len(tables), corrupt_batches)


def build_store(
    records: Iterable[Record], partitions: int, corrupt: Iterable[CorruptBatchError]
) -> StoredOrganizations:
    """Return the organizations of the latest records of the topic, which has `partitions` partitions. Pure."""
    found: dict[str, Organization] = {}
    unreadable: dict[str, str] = {}
    misplaced: dict[str, list[Record]] = {}
    corrupt_batches = {
        f"partition {error.tp.partition}, before offset {error.next_offset}": (
            f"{error} Organizations of this batch are missing here, or shown as they were before it."
        )
        for error in corrupt
    }
    for record in records:
        name = _record_name(record)
        if not _is_in_place(record, partitions):
            misplaced.setdefault(name, []).append(record)
            continue
        try:
            found[name] = decode_organization(record)
        except RelayError as error:
            unreadable[name] = str(error)
    return StoredOrganizations(found, unreadable, misplaced, corrupt_batches)


async def read_organizations(connection: Connection) -> Mapping[str, Organization]:
    """Return the organizations by name. Log a warning for each record that cannot be read, and leave it out. Raises RelayError."""
    stored = await read_store(connection)
    for _, problem in stored.problems:
        log.warning(problem)
    return stored.organizations


def require_existing(organization: Organization | None, name: str) -> Organization:
    """Return the organization. Raises UnknownOrganizationError for None."""
    if organization is None:
        raise UnknownOrganizationError(
            f"The organization {name} does not exist; `jira-relay organizations list` shows those that do."
        )
    return organization


def decode_organization(record: Record) -> Organization:
    """Decode a record whose key is the name of its organization. Raises RelayError."""
    key = record.key or b""
    try:
        organization = OrganizationCodec().decode(record.value or b"")
        name_matches = organization.name == key.decode()
    except (NotAvro, UnknownSchema, BadBody, UnicodeDecodeError) as error:
        raise _unreadable_error(record, str(error)) from error
    if not name_matches:
        raise _unreadable_error(record, f"it holds {organization.name!r}")
    return organization


def _record_name(record: Record) -> str:
    return (record.key or b"").decode("utf-8", "backslashreplace")


def _is_in_place(record: Record, partitions: int) -> bool:
    key = record.key or b""
    is_a_name = key != b"" and _record_name(record).encode() == key
    return is_a_name and partition_of(key, partitions) == record.partition


def _unreadable_error(record: Record, why: str) -> UnreadableOrganizationError:
    name = _record_name(record)
    return UnreadableOrganizationError(
        f"The organization {name} cannot be read ({record.topic}, partition {record.partition}, offset {record.offset}: {why})."
        f" Delete it with `jira-relay organizations delete {shlex.quote(name)}`, and add it again."
    )


def _misplaced_message(name: str, records: Sequence[Record], *, known: bool) -> str:
    where = ", ".join(str(record.partition) for record in records)
    message = (
        f"The records with the key {name!r} in partition {where} of {records[0].topic} are ignored, because the key does not"
        " belong there."
    )
    if known:
        return (
            f"{message} The organization {name} is polled as before. Nothing needs to be done; they are removed when the"
            " organization is deleted."
        )
    return (
        f"{message} Remove them with `jira-relay organizations delete {shlex.quote(name)}`; if the organization is to be"
        " polled, add it again."
    )

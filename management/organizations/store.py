"""What stands on the topic of organizations, readable or not."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from relay.avro.codec import BadBody, NotAvro, UnknownSchema
from relay.errors import RelayError, describe
from relay.kafka import KafkaError, Record
from relay.kafka.connection import Connection
from relay.kafka.log_reader import read_tables
from relay.kafka.topics import Topics, partition_of
from relay.organizations import Organization, OrganizationCodec

log = structlog.get_logger(__name__)


class UnknownOrganizationError(RelayError):
    """There is no organization of that name."""


@contextmanager
def kafka_errors_as_relay_errors(connection: Connection) -> Iterator[None]:
    """What Kafka's client raises, as a RelayError."""
    try:
        yield
    except (KafkaError, TimeoutError, OSError) as error:
        raise RelayError(
            f"Kafka at {connection.bootstrap} did not do what it was asked: {describe(error)}."
            " Try again; if this lasts, look at its log."
        ) from error


@dataclass(frozen=True, slots=True)
class StoredOrganizations:
    """What stands on the topic of organizations, by name."""

    organizations: Mapping[str, Organization]
    unreadable: Mapping[str, str]
    """Why, for what is no organization of ours."""
    misplaced: Mapping[str, Sequence[Record]]
    """What stands where nobody reads it: a key has its place, and those that are no names have none."""

    @property
    def problems(self) -> list[tuple[str, str]]:
        """What an operator should know, by name."""
        misplaced = (
            (name, _misplaced_message(name, records, known=name in self.organizations))
            for name, records in self.misplaced.items()
        )
        return sorted((*self.unreadable.items(), *misplaced))


async def read_store(connection: Connection) -> StoredOrganizations:
    """Raises RelayError where Kafka does not tell."""
    found: dict[str, Organization] = {}
    unreadable: dict[str, str] = {}
    misplaced: dict[str, list[Record]] = {}
    with kafka_errors_as_relay_errors(connection):
        await connection.verify()
        tables = await read_tables(connection, Topics(connection.kafka.topic_prefix).organizations)
    for record in (record for table in tables.values() for record in table.values()):
        name = _record_name(record)
        if not _is_in_place(record, len(tables)):
            misplaced.setdefault(name, []).append(record)
            continue
        try:
            found[name] = decode_organization(record)
        except RelayError as error:
            unreadable[name] = str(error)
    return StoredOrganizations(found, unreadable, misplaced)


async def read_organizations(connection: Connection) -> Mapping[str, Organization]:
    """Every organization that is followed, by name; what cannot be read is left out, with a warning. Raises RelayError."""
    stored = await read_store(connection)
    for _, problem in stored.problems:
        log.warning(problem)
    return stored.organizations


def require_existing(organization: Organization | None, name: str) -> Organization:
    if organization is None:
        raise UnknownOrganizationError(
            f"There is no organization {name}: see `jira-relay organizations list`."
        )
    return organization


def decode_organization(record: Record) -> Organization:
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


def _unreadable_error(record: Record, why: str) -> RelayError:
    name = _record_name(record)
    return RelayError(
        f"The organization {name} cannot be read ({record.topic}, partition {record.partition}, offset {record.offset}: {why})."
        f" Delete it with `jira-relay organizations delete {shlex.quote(name)}`, and add it again."
    )


def _misplaced_message(name: str, records: Sequence[Record], *, known: bool) -> str:
    where = ", ".join(str(record.partition) for record in records)
    message = f"What stands under the name {name!r} in partition {where} of {records[0].topic} counts for nothing: its place is elsewhere."
    if known:
        return f"{message} The organization of that name is followed as before."
    return f"{message} Remove it with `jira-relay organizations delete {shlex.quote(name)}`; if it is one to be followed, add it again."

"""The organizations of one partition, as read from the topic."""

from collections.abc import Mapping

import structlog

from relay.avro.codec import BadBody, NotAvro, UnknownSchema
from relay.kafka import Record
from relay.kafka.topics import partition_of
from relay.organizations import Organization, OrganizationCodec

log = structlog.get_logger(__name__)


class OrganizationTable:
    """Organizations of one partition, as read so far; complete once `end_offset` is reached."""

    def __init__(self, shard_count: int) -> None:
        self.organizations: dict[str, Organization] = {}
        self.end_offset: int | None = None
        self.complete = False
        self.changed = True
        self.has_gap = False
        """Whether records before `end_offset` cannot be read, so that organizations may be missing."""
        self._shard_count = shard_count
        self._codec = OrganizationCodec()
        self._applied_offsets: dict[str, int] = {}

    def keep(self, known: Mapping[str, Organization]) -> None:
        """Go on with organizations that were known before: their records may be among those that cannot be read."""
        missing = {name: each for name, each in known.items() if name not in self._applied_offsets}
        self.organizations = {**missing, **self.organizations}
        self.changed = self.changed or bool(missing)

    def apply(self, record: Record) -> None:
        """Apply one record. An invalid one is logged as an error and changes nothing.

        So does one that is older than the last of its organization: a corrupt batch is read after those behind it.
        """
        name = (record.key or b"").decode("utf-8", "replace")
        if not name or partition_of(name, self._shard_count) != record.partition:
            if record.value is None:
                return
            log.error(
                "Organization ignored: its record is in the wrong partition. See `jira-relay check`.",
                organization=name,
                partition=record.partition,
                offset=record.offset,
            )
            return
        if record.offset < self._applied_offsets.get(name, -1):
            return
        self._applied_offsets[name] = record.offset
        if record.value is None:
            self.changed = self.organizations.pop(name, None) is not None or self.changed
            return
        try:
            organization = self._codec.decode(record.value)
            if organization.name != name:
                raise BadBody(f"it is one of the organization {organization.name}")
        except (NotAvro, UnknownSchema, BadBody) as error:
            log.error(
                "An organization's record is unreadable; its last readable one remains in force. Delete the organization"
                " and add it again; its progress is kept.",
                organization=name,
                reason=str(error),
                partition=record.partition,
                offset=record.offset,
            )
            return
        self.organizations[name] = organization
        self.changed = True

"""An organization, as a record of the organizations topic holds it."""

from dataclasses import asdict, dataclass, field
from typing import Any

from relay.avro.codec import InternalCodec


@dataclass(frozen=True, slots=True)
class Organization:
    """An organization whose audit log is polled.
    Fields as in schemas/organization.avsc; `added`, `modified`, `backfill_from` and `credential_expires` are ms
    UTC.
    """

    name: str
    url: str
    user: str
    added: int
    modified: int
    revision: int
    cloud_id: str | None = None
    credential_reference: str | None = None
    credential_ciphertext: bytes | None = None
    gateway: bool = False
    interval_seconds: int | None = None
    state: str = "active"
    backfill_from: int | None = None
    credential_expires: int | None = None
    newer_fields: bytes = field(default=b"", repr=False)
    """What a newer release has appended to the record; written back as it is."""

    @property
    def etag(self) -> str:
        """The text that names this state of this organization: one that was deleted and added again has other ones."""
        return f"{self.revision}-{self.modified:x}"

    @property
    def paused(self) -> bool:
        return self.state == "paused"


class OrganizationCodec:
    """Encode and decode values of the organizations topic."""

    def __init__(self) -> None:
        self._codec = InternalCodec("organization")

    def encode(self, organization: Organization) -> bytes:
        return self._codec.encode(asdict(organization))

    def decode(self, message: bytes) -> Organization:
        """Decode one value, of any released schema version or of a newer one. Raises NotAvro, UnknownSchema or BadBody."""
        record: dict[str, Any] = self._codec.decode(message)
        return Organization(**record)

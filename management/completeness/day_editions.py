"""A day opened to its account: every seal of it, or its account while it has none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from management.completeness.seal_index import OrganizationSeals
from management.completeness.seal_store import read_day
from management.completeness.texts import MEANINGS
from management.organizations.store import kafka_errors_as_relay_errors
from management.organizations.validation import InputError
from relay.kafka.connection import Connection
from relay.timestamps import day_of, parse_iso

MAX_EDITIONS = 20
"""The newest editions of a day that are read."""


@dataclass(frozen=True, slots=True)
class DayEdition:
    """One record of a day. `is_signed`: whether the signature is that of the key that the statement names."""

    statement: Mapping[str, Any]
    is_signed: bool

    @property
    def is_seal(self) -> bool:
        return bool(self.statement["edition"])

    @property
    def at(self) -> str:
        """Return when it was signed or counted, ISO 8601."""
        return str(self.statement["sealed_at" if self.is_seal else "counted_at"])

    def differences(self) -> list[tuple[str, str, int, Sequence[int]]]:
        """Return kind, meaning, count and the first ids of each difference between audit log, ledger and topic."""
        return [
            (kind, MEANINGS.get(kind, ""), found["count"], found["ids"])
            for kind, found in self.statement["differences"].items()
        ]

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        return {
            "signature_valid": self.is_signed if self.is_seal else None,
            "statement": dict(self.statement),
        }


async def read_editions(connection: Connection, found: OrganizationSeals, day: str) -> list[DayEdition]:
    """Return the records of a day, the newest first. Raises RelayError."""
    with kafka_errors_as_relay_errors(connection):
        seals = await read_day(connection, found.offsets(day)[-MAX_EDITIONS:])
    return [
        DayEdition(each.statement, each.signed.is_signed_by(str(each.statement.get("key", ""))))
        for each in reversed(seals)
    ]


def parse_day(text: str) -> str:
    """Return a day as 2026-11-23. Raises InputError."""
    if not text:
        raise InputError("No day is named; write it as 2026-11-23.")
    found = parse_iso(f"{text}T00:00:00Z") if len(text) == len("2026-11-23") else None
    if found is None or day_of(found.ms) != text:
        raise InputError(f"{text!r} is no day; write it as 2026-11-23.")
    return text

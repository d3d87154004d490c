"""Accounts of days, and chains of seals over them."""

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from management.completeness.canonical import EventKey
from management.completeness.day_seal import next_seal
from management.completeness.export import ProvenEvent, StoredSeal, build_export
from management.completeness.proof import DayAccount, DeliveryDay, KafkaDay, SourceDay
from management.completeness.seal_store import seal_record
from management.completeness.signature import SigningKey
from management.completeness.verifier import SealChain
from tests.support.messages import Message

KEY, OLD_KEY = SigningKey(bytes(32)), SigningKey(b"\x01" * 32)
NOON = 1_795_348_800_000


def keys_of(*ids: int) -> list[EventKey]:
    """Return events with these ids."""
    return [EventKey(each, sha256(str(each).encode()).digest()) for each in ids]


def account(day: str, ids: Sequence[int] = (1, 2, 3), organization: str = "acme", **kafka: Any) -> DayAccount:
    """Return an account of a day that all hops agree on. `kafka`: what else Kafka has."""
    listed = keys_of(*ids)
    return DayAccount(
        organization,
        day,
        SourceDay(listed),
        KafkaDay(listed, **kafka),
        {"sentinel": DeliveryDay({"accepted": len(ids)})},
        {"events/0": (5, 9)},
    )


class Sealed:
    """The chains of an installation that seals these accounts one after the other."""

    def __init__(self) -> None:
        self.chains: dict[str, SealChain] = {}
        self.seals: dict[str, list[StoredSeal]] = {}

    def seal(self, found: DayAccount, key: SigningKey = KEY, reason: str = "") -> "Sealed":
        """Seal a day, and return the installation."""
        chain = self.chains.setdefault(found.organization, SealChain())
        signed = next_seal(chain, found, key, NOON, reason)
        statement = json.loads(signed.text)
        assert chain.add(statement, signed.hash) is None
        self.seals.setdefault(found.organization, []).append(StoredSeal(signed, statement))
        return self

    def export(
        self,
        first: str = "2026-11-01",
        last: str = "2026-11-30",
        proven: Sequence[ProvenEvent] = (),
        key: SigningKey = KEY,
    ) -> bytes:
        """Return the file of an export."""
        return build_export(self.seals, first, last, proven, key, NOON)


def seal_messages(sealed: Sealed) -> list[Message]:
    """Return the seals as records of their topic, at offsets from 0 on."""
    seals = [each for chain in sealed.seals.values() for each in chain]
    records = [seal_record("seals", each) for each in seals]
    return [Message(each.value, each.key, NOON, offset=at) for at, each in enumerate(records)]


def a_month() -> Sealed:
    """Return three days of two organizations, one sealed again after a late record."""
    sealed = Sealed().seal(account("2026-11-01")).seal(account("2026-11-02", (4,)))
    sealed.seal(account("2026-11-03", ())).seal(account("2026-11-02", (4, 5)), reason="A late record.")
    return sealed.seal(account("2026-11-02", (9,), "beta"))


def proven(
    organization: str = "acme", day: str = "2026-11-02", ids: Sequence[int] = (4, 5), event: int = 5
) -> ProvenEvent:
    """Return an event to prove, among the events of its day."""
    found = keys_of(*ids)
    return ProvenEvent(organization, day, found[ids.index(event)], found)

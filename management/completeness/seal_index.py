"""The seals of all organizations, for readers that follow their topic. Pure.

A day without a seal may have an account on the topic: an unsigned count of the day, with the edition 0. A seal replaces it.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from management.completeness.export import StoredSeal
from management.completeness.proof import DayState
from management.completeness.seal_store import deleted_seal, key_parts, keyed_seal
from management.completeness.sealed_days import ChainView, DayMark, SealedDays, never
from management.completeness.verifier import SealChain, Statement
from relay.errors import RelayError
from relay.kafka import Record
from relay.timestamps import parse_iso

MAX_WAITING = 1_000
"""Seals of an organization that are held until those before them come."""
MAX_PROBLEMS = 20
"""Records of no organization that are named."""
MAX_EDITIONS = 20
"""Of a day before the latest one: their places are kept."""
_BAD_FORM = (KeyError, TypeError, ValueError, OverflowError, AttributeError, struct.error)


@dataclass(slots=True)
class OrganizationSeals:
    """The days of one organization. `fault`: why its chain is broken, with the place; None: no record of it is wrong."""

    name: str
    today: Callable[[], str] = never
    """The present UTC day."""
    sealed: SealedDays = field(init=False)
    early: frozenset[str] = frozenset()
    """Days whose seal was signed before that of an earlier day, by a clock that was ahead: they had not ended."""
    accounts: dict[str, DayMark] = field(default_factory=dict)
    fault: str | None = None
    last: StoredSeal | None = None
    chain: SealChain = field(init=False)
    _earlier: dict[str, list[int]] = field(default_factory=dict)
    _waiting: dict[int, tuple[StoredSeal, DayMark]] = field(default_factory=dict)
    """Seals whose forebears have not come, by their numbers: compaction keeps the later copy of a record that was written twice."""
    _keys: frozenset[str] = frozenset()
    """Those that signed the chain."""
    _is_last_verified: bool = False

    def __post_init__(self) -> None:
        self.sealed = SealedDays(self.today)
        days = ChainView[Statement](self.sealed, lambda mark: {"edition": mark.edition})
        self.chain = SealChain(days=days, hashes=ChainView(self.sealed, lambda mark: mark.digest))

    def mark(self, day: str) -> DayMark | None:
        """Return the latest record of a day."""
        return self.sealed.get(day) or self.accounts.get(day)

    def offsets(self, day: str) -> list[int]:
        """Return the places of all editions of a day, the oldest first; without a seal, that of its account."""
        found = self.mark(day)
        return [] if found is None else [*self._earlier.get(day, ()), found.offset]

    def differing_days(self, first: str) -> int:
        """Return how many days from `first` on differ, by their latest records."""
        return len(self.days_in("differing", first))

    def days_in(self, state: DayState, first: str) -> list[str]:
        """Return the days from `first` on whose latest record has a state."""
        counted = (day for day, mark in self.accounts.items() if mark.state == state and day >= first)
        return [*self.sealed.days_in([state], first), *counted]

    def verify_end(self) -> str | None:
        """Return why the chain is broken. The last seal names the hash of the one before, so its signature holds for all."""
        if self.fault is None and self._waiting:
            return (
                f"{self.name}: a seal is missing: number {min(self._waiting)} follows {self.chain.sequence}."
            )
        if self.fault is None and self.last is not None and not self._is_last_verified:
            self._is_last_verified = True
            if not self.last.signed.is_signed_by(str(self.last.statement["key"])):
                self.fault = f"{self.name}, seal {self.chain.sequence}: the signature is wrong."
        return self.fault

    def take(self, seal: StoredSeal, offset: int) -> None:
        """Take the next record. One that was written once more, as by a mirror, changes nothing."""
        statement, mark = seal.statement, _mark(seal.statement, offset)
        if statement["edition"] == 0:
            self.accounts[statement["day"]] = mark
        elif self._is_repeated(seal):
            if (known := self.sealed[statement["day"]]).edition == mark.edition:
                self.sealed[statement["day"]] = replace(known, offset=offset)
        elif statement["sequence"] > self.chain.sequence + 1 and len(self._waiting) < MAX_WAITING:
            self._waiting[statement["sequence"]] = seal, mark
        else:
            self._accept(seal, mark)
            while (following := self._waiting.pop(self.chain.sequence + 1, None)) is not None:
                self._accept(*following)

    def _is_repeated(self, seal: StoredSeal) -> bool:
        """Return whether the chain has a seal. The relay signs no two of one number, so that of an earlier edition is known by its key."""
        statement = seal.statement
        known = self.sealed.get(statement["day"])
        if known is None or statement["sequence"] > self.chain.sequence:
            return False
        if statement["edition"] == known.edition:
            return known.digest == seal.signed.hash
        is_earlier = statement["edition"] < known.edition and statement["key"] in self._keys
        return is_earlier and seal.signed.is_signed_by(statement["key"])

    def _accept(self, seal: StoredSeal, mark: DayMark) -> None:
        day, edition = seal.statement["day"], mark.edition
        self.accounts.pop(day, None)
        if (before := self.sealed.get(day)) is not None:
            self._earlier[day] = [*self._earlier.get(day, ()), before.offset][-MAX_EDITIONS:]
        if self.fault is None:
            self._continue(seal)
        self.early -= {day}
        if edition == 1 and self.chain.last_day is not None and day < self.chain.last_day.isoformat():
            self.early |= {each for each in self.sealed if each > day}
        self.sealed[day] = replace(mark, digest=seal.signed.hash)
        if self.sealed.is_cut:
            self.chain.complete_from = max(self.chain.complete_from, self.sealed.oldest)

    def _continue(self, seal: StoredSeal) -> None:
        statement = seal.statement
        try:
            fault = self.chain.add(statement, seal.signed.hash)
        except _BAD_FORM:
            fault = "it has not the form of a seal"
        if fault is None and self.last is None and statement["sequence"] != 1:
            fault = "the seals before it are missing"
        if fault is not None:
            self.fault = f"{self.name}, {statement['day']}, seal {statement['sequence']}: {fault}."
            return
        self.last, self._is_last_verified = seal, False
        if (key := str(statement["key"])) not in self._keys:
            self._keys |= {key}

    def place(self, day: str, offset: int) -> None:
        """Note the place of the latest seal of a day, once Kafka has it."""
        self.sealed[day] = replace(self.sealed[day], offset=offset)

    def remove(self, day: str, edition: int) -> None:
        """Take a deletion. Nobody deletes a seal rightly, so that of a seal breaks the chain."""
        if edition == 0:
            self.accounts.pop(day, None)
        elif self.fault is None:
            self.fault = deleted_seal(self.name, day, edition)


def _mark(statement: Statement, offset: int) -> DayMark:
    ends = {name.partition("/")[0]: each[1] for name, each in statement["kafka"]["offsets"].items()}
    signed = parse_iso(str(statement.get("sealed_at", "")))
    return DayMark(
        statement["state"],
        statement["edition"],
        statement["events"],
        offset,
        0 if signed is None else signed.ms,
        ends.get("events", -1),
        ends.get("backfill", -1),
    )


class SealIndex:
    """The days of all organizations, from the records of the topic in their order."""

    def __init__(self, today: Callable[[], str] = never) -> None:
        self._today = today
        self.organizations: dict[str, OrganizationSeals] = {}
        self._unnamed: dict[bytes, str] = {}

    @property
    def problems(self) -> Sequence[str]:
        """Sentences about records that are of no organization. They hide no seal: the key of each seal names its own."""
        return list(self._unnamed.values())

    def of(self, name: str) -> OrganizationSeals:
        """Return the days of an organization; one without a record is kept from now on."""
        if name not in self.organizations:
            self.organizations[name] = OrganizationSeals(name, self._today)
        return self.organizations[name]

    def take(self, record: Record) -> None:
        """Take the next record. One that cannot be read breaks the chain that its key names; where it names none, it is a problem."""
        parts = key_parts(record.key)
        if parts is None:
            self._note_unnamed(record)
            return
        name, day, edition = parts
        found = self.of(name)
        if record.value is None:
            found.remove(day, edition)
            return
        try:
            found.take(keyed_seal(record, parts), record.offset)
        except RelayError as error:
            found.fault = found.fault or str(error)
        except _BAD_FORM:
            found.fault = (
                found.fault
                or f"{name}, {day}: the record at offset {record.offset} has not the form of a seal."
            )

    def _note_unnamed(self, record: Record) -> None:
        key = record.key or b""
        if record.value is None:
            self._unnamed.pop(key, None)
        elif len(self._unnamed) < MAX_PROBLEMS:
            self._unnamed[key] = (
                f"The record at offset {record.offset} of the topic of seals is no seal: its key names no organization and day. The"
                " seals are whole; find out who writes to the topic."
            )

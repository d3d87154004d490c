"""Verify an export of day seals without Kafka and without the relay.

This file needs Python 3.11 and the package `cryptography`, and imports nothing of the relay. An auditor can copy it, read it,
and run `python verifier.py FILE --key KEY`. docs/proof.md describes the format for verifiers in other languages.
"""

import argparse
import json
import re
import sys
from collections.abc import Collection, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT = 1
NO_SEAL = "0" * 64
"""In place of the hash of the seal before, in the first seal of an organization."""
_LINE = re.compile(rb"([0-9a-f]{128}) (\{[\x20-\x7e]*\})")
_BAD_FORM = (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError, OverflowError)
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)
_NUMBERS = ("sequence", "edition", "days_left_out", "events")
Statement = Mapping[str, Any]


class RefusedError(Exception):
    """The export proves nothing. The text begins with the place."""


@dataclass(frozen=True)
class Verified:
    """What an export proves. `days`: how many days of each organization are sealed. `keys`: those that signed."""

    header: Statement
    days: Mapping[str, int]
    seals: int
    events: int
    keys: tuple[str, ...]
    notes: tuple[str, ...]


def canonical_text(value: object) -> bytes:
    """Return JSON with sorted names, without spaces, all but ASCII escaped. Raises ValueError for a number that JSON lacks."""
    return _CANONICAL.encode(value).encode()


def leaf_hash(event_id: int, content: bytes) -> bytes:
    """Return the hash of a leaf of the tree (RFC 6962): the id in eight bytes, then the 32 bytes of the content's hash."""
    return sha256(b"\x00" + event_id.to_bytes(8, "big") + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node (RFC 6962)."""
    return sha256(b"\x01" + left + right).digest()


def root_of_path(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes | None:
    """Return the root that an inclusion proof leads to (RFC 9162, 2.1.3.2). None: the path has another length."""
    place, last, found = index, size - 1, leaf
    if not 0 <= index < size:
        return None
    for sibling in path:
        if last == 0:
            return None
        if place % 2 or place == last:
            found = node_hash(sibling, found)
            while not place % 2:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        place, last = place >> 1, last >> 1
    return found if last == 0 else None


@dataclass
class SealChain:
    """The seals of one organization, in their order: each names the hash of the one before, and no day is passed in silence."""

    sequence: int = 0
    head: str = NO_SEAL
    last_day: date | None = None
    complete_from: date = date.min
    """Each sealed day from this one on has its first edition here; an export may begin within a chain."""
    days: MutableMapping[str, Statement] = field(default_factory=dict)
    """The latest seal of each day."""
    hashes: MutableMapping[str, str] = field(default_factory=dict)

    def add(self, seal: Statement, digest: str) -> str | None:
        """Take the next seal, of which `digest` is the hash. Return what is wrong with it; None: it is the next one."""
        fault = self._fault(seal)
        if fault is None:
            day = date.fromisoformat(seal["day"])
            self.sequence, self.head = seal["sequence"], digest
            if self.last_day is None and self.sequence > 1:
                self.complete_from = day
            self.last_day = day if self.last_day is None else max(day, self.last_day)
            self.days[seal["day"]], self.hashes[seal["day"]] = seal, digest
        return fault

    def _fault(self, seal: Statement) -> str | None:
        day, edition = date.fromisoformat(seal["day"]), seal["edition"]
        whole = all(type(seal[name]) is int and seal[name] >= 0 for name in _NUMBERS)
        if not whole or edition == 0 or seal["format"] != FORMAT or seal["day"] != day.isoformat():
            return f"it has not the form of a seal in format {FORMAT}"
        if edition == 1 and seal["replaces"] != NO_SEAL:
            return "a first edition replaces nothing"
        if self.last_day is None:  # an export may begin within a chain
            is_first = seal["sequence"] == 1
            valid = is_first == (seal["previous"] == NO_SEAL) and (edition == 1 or not is_first)
            return None if valid and seal["sequence"] > 0 else "the chain has no beginning"
        if seal["sequence"] != self.sequence + 1:
            return f"a seal is missing: number {seal['sequence']} follows {self.sequence}"
        if seal["previous"] != self.head:
            return "it does not continue the seal before"
        if edition == 1:
            expected = self.last_day + timedelta(days=1 + seal["days_left_out"])
            return (
                None
                if day == expected
                else f"it follows the day {self.last_day}, and days between are missing"
            )
        known = self.days.get(seal["day"])
        if (day >= self.complete_from) if known is None else (edition != known["edition"] + 1):
            return f"edition {edition} of the day has no edition before it"
        if known is not None and seal["replaces"] != self.hashes[seal["day"]]:
            return "it replaces another seal than the one before of its day"
        return None


def verify(data: bytes, trusted: Collection[str] | None = None) -> Verified:
    """Verify an export. `trusted`: the public keys, as 64 hexadecimal digits, that may sign; None: every key may.

    Raises RefusedError, with the place, for each departure from the format.
    """
    lines = data.split(b"\n")
    if lines.pop() != b"":
        raise RefusedError("The end: the file is cut.")
    statements = [_statement(number, line, trusted) for number, line in enumerate(lines, 1)]
    if not statements or statements[0].get("kind") != "export" or statements[0].get("format") != FORMAT:
        raise RefusedError(f"Line 1: it is no export of day seals in format {FORMAT}.")
    header, chains, events, keys = statements[0], dict[str, SealChain](), 0, list[str]()
    for number, statement in enumerate(statements[1:], 2):
        try:
            place = f"Line {number} ({statement['organization']}, {statement['day']})"
            chain = chains.setdefault(statement["organization"], SealChain())
            if statement["kind"] == "seal" and not events:
                fault = chain.add(statement, sha256(lines[number - 1][129:]).hexdigest())
            else:
                fault, events = _event_fault(chain, statement), events + 1
        except _BAD_FORM as error:
            raise RefusedError(
                f"Line {number}: it has not the form of format {FORMAT} ({error!r})."
            ) from error
        if fault is not None:
            raise RefusedError(f"{place}: {fault}.")
    for statement in statements:
        keys += [statement["key"]] if statement["key"] not in keys else []
    try:
        _require_whole(header, chains, len(statements) - 1 - events, events)
        notes = _notes(header, chains)
    except _BAD_FORM as error:
        raise RefusedError(f"Line 1: it has not the form of format {FORMAT} ({error!r}).") from error
    days = {name: len(chain.days) for name, chain in chains.items()}
    return Verified(header, days, len(statements) - 1 - events, events, tuple(keys), notes)


def _statement(number: int, line: bytes, trusted: Collection[str] | None) -> Statement:
    """Return the statement of a line, whose signature is valid."""
    match = _LINE.fullmatch(line)
    try:
        if match is None or canonical_text(found := json.loads(match[2])) != match[2]:
            raise RefusedError(f"Line {number}: it is no signed statement in its only form.")
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(found["key"])).verify(
            bytes.fromhex(match[1].decode()), match[2]
        )
    except InvalidSignature as error:
        raise RefusedError(
            f"Line {number} ({found.get('organization', 'the export')}, {found.get('day', 'all days')}): the signature is wrong."
        ) from error
    except _BAD_FORM as error:
        raise RefusedError(f"Line {number}: it is no signed statement ({error!r}).") from error
    if trusted is not None and found["key"] not in trusted:
        raise RefusedError(f"Line {number}: the key {found['key']} signed it, which you do not trust.")
    return found  # type: ignore[no-any-return]


def _event_fault(chain: SealChain, event: Statement) -> str | None:
    """Return why an inclusion proof proves nothing; None: the event is in the latest seal of its day in this file."""
    seal = chain.days.get(event["day"])
    if event["kind"] != "event" or seal is None:
        return "no seal of this day is before it"
    leaf = leaf_hash(event["id"], bytes.fromhex(event["content"]))
    path = [bytes.fromhex(each) for each in event["path"]]
    root = root_of_path(leaf, event["index"], seal["events"], path)
    return None if root is not None and root.hex() == seal["root"] else f"the seal has no event {event['id']}"


def _require_whole(header: Statement, chains: Mapping[str, SealChain], seals: int, events: int) -> None:
    """Raise RefusedError unless the file has exactly the chains and lines that its first line names."""
    for day in (header["from"], header["to"]):
        date.fromisoformat(day)
    for name, named in header["chains"].items():
        chain = chains.get(name, SealChain())
        if (chain.sequence, chain.head) != (named["last"], named["head"]):
            raise RefusedError(
                f"{name}: the chain ends at seal {chain.sequence}, and not at seal {named['last']}."
            )
    if set(chains) != set(header["chains"]) or (seals, events) != (header["seals"], header["events"]):
        raise RefusedError(f"The end: {seals} seals and {events} events are here, and line 1 names others.")


def _notes(header: Statement, chains: Mapping[str, SealChain]) -> tuple[str, ...]:
    """Return what a reader of the seals must know: days without a seal, and days whose hops differ."""
    notes = [] if chains else ["The file has no seals, so it proves nothing of any day."]
    for name, chain in sorted(chains.items()):
        first, last = min(chain.days), max(chain.days)
        if first > header["from"]:
            notes.append(f"{name}: its seals begin with {first}.")
        if last < header["to"]:
            notes.append(f"{name}: no day after {last} is sealed.")
        for day, seal in sorted(chain.days.items()):
            if seal["edition"] == 1 and seal["days_left_out"]:
                notes.append(f"{name}, {day}: the {seal['days_left_out']} days before it were never sealed.")
            if seal["state"] != "complete":
                notes.append(f"{name}, {day}: {seal['state']}. {seal['reason']}")
    return tuple(notes)


def main(arguments: list[str]) -> int:
    """Print what a file proves, and return 0; or print why it is refused, and return 1."""
    parser = argparse.ArgumentParser(description="Verify an export of day seals of the Jira Audit Relay.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--key", action="append", help="A public key that you trust. Repeat it for each key.")
    given = parser.parse_args(arguments)
    try:
        found = verify(given.file.read_bytes(), given.key)
    except OSError as error:
        parser.error(f"{given.file} cannot be read: {error.strerror}")
    except RefusedError as error:
        sys.stderr.write(f"REFUSED. {_printable(str(error))}\n")
        return 1
    counts = f"{found.seals} seals of {len(found.days)} organizations and {found.events} events are intact."
    whose = (
        ()
        if given.key
        else ("Whose keys these are was not checked: name the key that you trust with --key.",)
    )
    texts = (*found.notes, counts, f"Signed by {', '.join(found.keys)}.", *whose)
    sys.stdout.write("".join(f"{_printable(each)}\n" for each in texts))
    return 0


def _printable(text: str) -> str:
    """Return the text on one line: a name in the file cannot control the terminal."""
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

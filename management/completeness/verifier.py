"""Verify an export of day seals without Kafka and without the relay.

This file needs Python 3.11 and the package `cryptography`, and imports nothing of the relay. An auditor can copy it, read it,
and run `python verifier.py FILE --key KEY`. docs/proof.md describes the format for verifiers in other languages.
"""

import argparse
import json
import re
import sys
from collections.abc import Collection, Iterable, Mapping, MutableMapping
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
_HASH = re.compile("[0-9a-f]{64}")
_NUMBERS, _HASHES = (
    ("format", "sequence", "edition", "days_left_out", "events"),
    ("previous", "replaces", "root"),
)
_BAD_FORM = (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError, OverflowError)
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)
Statement = Mapping[str, Any]
Values = Iterable[object]


class RefusedError(Exception):
    """The export proves nothing. The text begins with the place."""


@dataclass(frozen=True)
class Verified:
    """What an export proves. `days`: how many are sealed of each organization. `hashes`: of its seals, by their numbers."""

    header: Statement
    days: Mapping[str, int]
    seals: int
    events: int
    keys: tuple[str, ...]
    notes: tuple[str, ...]
    hashes: Mapping[str, Mapping[int, str]]


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


def _require(
    numbers: Values = (), hashes: Values = (), days: Iterable[str] = (), true: object = True
) -> None:
    """Raise ValueError unless these are integers from 0 on, hashes in lower case, and days as 2026-11-01."""
    found = all(type(each) is int and each >= 0 for each in numbers)
    found &= all(isinstance(each, str) and bool(_HASH.fullmatch(each)) for each in hashes)
    if not (found and all(date.fromisoformat(each).isoformat() == each for each in days) and true):
        raise ValueError("a value has another form")


@dataclass
class SealChain:
    """The seals of one organization, in their order: each names the hash of the one before, and no day is passed in silence."""

    sequence: int = 0
    head: str = NO_SEAL
    last_day: date | None = None
    """The last day of which there is a seal."""
    complete_from: date = date.min
    """Each sealed day from this one on has its first edition here; an export may begin within a chain."""
    days: MutableMapping[str, Statement] = field(default_factory=dict)
    """The latest seal of each day."""
    hashes: MutableMapping[str, str] = field(default_factory=dict)

    def add(self, seal: Statement, digest: str) -> str | None:
        """Take the next seal, of which `digest` is the hash. Return what is wrong; None: it is the next one. Raises ValueError."""
        _require([seal[name] for name in _NUMBERS], [seal[name] for name in _HASHES], [seal["day"]])
        is_seal = seal["format"] == FORMAT and seal["sequence"] and seal["edition"]
        _require(true=is_seal and isinstance(seal["state"], str) and isinstance(seal["reason"], str))
        day = date.fromisoformat(seal["day"])
        if (fault := self._fault(seal, day)) is None:
            if self.last_day is None and seal["sequence"] > 1:
                self.complete_from = day
            self.sequence, self.head = seal["sequence"], digest
            self.last_day = max(day, self.last_day or day)
            self.days[seal["day"]], self.hashes[seal["day"]] = seal, digest
        return fault

    def _fault(self, seal: Statement, day: date) -> str | None:
        edition, known = seal["edition"], self.days.get(seal["day"])
        if edition == 1 and (seal["replaces"] != NO_SEAL or known is not None):
            return "a first edition replaces nothing"
        if self.last_day is None:  # an export may begin within a chain
            is_first = seal["sequence"] == 1
            valid = is_first == (seal["previous"] == NO_SEAL) and (edition == 1 or not is_first)
            return None if valid else "the chain has no beginning"
        if seal["sequence"] != self.sequence + 1:
            return f"a seal is missing: number {seal['sequence']} follows {self.sequence}"
        if seal["previous"] != self.head:
            return "it does not continue the seal before"
        if edition == 1:
            before, left_out = self.day_before(day), seal["days_left_out"]
            begins = before is None and (day < self.complete_from or not left_out)
            follows = begins or (before is not None and day - before == timedelta(days=1 + left_out))
            return None if follows else f"it follows the day {before}, and days between are missing"
        if (day >= self.complete_from) if known is None else (edition != known["edition"] + 1):
            return f"edition {edition} of the day has no edition before it"
        if known is not None and seal["replaces"] != self.hashes[seal["day"]]:
            return "it replaces another seal than the one before of its day"
        return None

    def day_before(self, day: date) -> date | None:
        """Return the last sealed day before a day. None: there is none here. A clock that was ahead has sealed later days."""
        if self.last_day is None or self.last_day < day:
            return self.last_day
        return max((each for each in map(date.fromisoformat, self.days) if each < day), default=None)


def verify(data: bytes, trusted: Collection[str] | None = None) -> Verified:
    """Verify an export. `trusted`: the public keys, as 64 hexadecimal digits, that may sign; None: every key may.

    Raises RefusedError, with the place, for each departure from the format.
    """
    lines = data.split(b"\n")
    if lines.pop() != b"":
        raise RefusedError("The end: the file is cut.")
    statements = [_statement(number, line, trusted) for number, line in enumerate(lines, 1)]
    if not statements or (statements[0].get("kind"), statements[0].get("format")) != ("export", FORMAT):
        raise RefusedError(f"Line 1: it is no export of day seals in format {FORMAT}.")
    header, chains, hashes, events = statements[0], dict[str, SealChain](), dict[str, dict[int, str]](), 0
    place = "Line 1"
    try:
        for number, statement in enumerate(statements[1:], 2):
            place, name = f"Line {number}", statement["organization"]
            chain = chains.setdefault(name, SealChain())
            if statement["kind"] == "seal" and not events:
                digest = sha256(lines[number - 1][129:]).hexdigest()
                fault = chain.add(statement, digest)
                before = hashes.setdefault(name, {statement["sequence"] - 1: statement["previous"]})
                before[statement["sequence"]] = digest
            else:
                fault, events = _event_fault(chain, statement), events + 1
            if fault is not None:
                raise RefusedError(f"{place} ({name}, {statement['day']}): {fault}.")
        place, seals = "Line 1", len(statements) - 1 - events
        _require_whole(header, chains, seals, events)
        notes = _notes(header, chains)
    except _BAD_FORM as error:
        raise RefusedError(f"{place}: it has not the form of format {FORMAT} ({error!r}).") from error
    days = {name: len(chain.days) for name, chain in chains.items()}
    keys = tuple(dict.fromkeys(each["key"] for each in statements))
    return Verified(header, days, seals, events, keys, notes, hashes)


def require_continued(found: Verified, earlier: Verified) -> None:
    """Raise RefusedError unless the chains of an earlier export go on in this one, or end there as they did."""
    for name, end in earlier.header["chains"].items():
        here = found.hashes.get(name, {}).get(end["last"])
        if here != end["head"]:
            what = "not" if here is None else "another one"
            raise RefusedError(
                f"{name}: seal {end['last']}, the last one of the earlier file, is {what} here."
            )


def _statement(number: int, line: bytes, trusted: Collection[str] | None) -> Statement:
    """Return the statement of a line, whose signature is valid."""
    match, place = _LINE.fullmatch(line), f"Line {number}"
    try:
        if match is None or canonical_text(found := json.loads(match[2])) != match[2]:
            raise RefusedError(f"{place}: it is no signed statement in its only form.")
        place += f" ({found.get('organization', 'the export')}, {found.get('day', 'all days')})"
        _require(hashes=[found["key"]])
        signer = Ed25519PublicKey.from_public_bytes(bytes.fromhex(found["key"]))
        signer.verify(bytes.fromhex(match[1].decode()), match[2])
    except InvalidSignature as error:
        raise RefusedError(f"{place}: the signature is wrong.") from error
    except _BAD_FORM as error:
        raise RefusedError(f"{place}: it is no signed statement ({error!r}).") from error
    if trusted is not None and found["key"] not in trusted:
        raise RefusedError(f"Line {number}: the key {found['key']} signed it, which you do not trust.")
    return found  # type: ignore[no-any-return]


def _event_fault(chain: SealChain, event: Statement) -> str | None:
    """Return why an inclusion proof proves nothing; None: the event is in the latest seal of its day in this file."""
    seal, path = chain.days.get(event["day"]), event["path"]
    if event["kind"] != "event" or seal is None:
        return "no seal of this day is before it"
    _require([event["id"], event["index"]], [event["content"], *path], true=isinstance(path, list))
    leaf = leaf_hash(event["id"], bytes.fromhex(event["content"]))
    root = root_of_path(leaf, event["index"], seal["events"], [bytes.fromhex(each) for each in path])
    return None if root is not None and root.hex() == seal["root"] else f"the seal has no event {event['id']}"


def _require_whole(header: Statement, chains: Mapping[str, SealChain], seals: int, events: int) -> None:
    """Raise RefusedError unless the file has exactly the chains and lines that its first line names."""
    _require([header[name] for name in ("format", "seals", "events")], days=[header["from"], header["to"]])
    _require(true=isinstance(header["exported_at"], str))
    for name, named in header["chains"].items():
        chain = chains.get(name, SealChain())
        _require([named["last"]])
        if (chain.sequence, chain.head) != (named["last"], named["head"]):
            raise RefusedError(
                f"{name}: the chain ends at seal {chain.sequence}, not at seal {named['last']}."
            )
    if set(chains) != set(header["chains"]) or (seals, events) != (header["seals"], header["events"]):
        raise RefusedError(f"The end: {seals} seals and {events} events are here, and line 1 names others.")


def _notes(header: Statement, chains: Mapping[str, SealChain]) -> tuple[str, ...]:
    """Return what a reader of the seals must know: days without a seal, and days whose hops differ."""
    notes = [] if chains else ["The file has no seals, so it proves nothing of any day."]
    for name, chain in sorted(chains.items()):
        first, last = min(chain.days), max(chain.days)
        notes += [f"{name}: its seals begin with {first}."] if first > header["from"] else []
        notes += [f"{name}: no day after {last} is sealed."] if last < header["to"] else []
        for day, seal in sorted(chain.days.items()):
            if seal["edition"] == 1 and seal["days_left_out"]:
                notes.append(f"{name}, {day}: the {seal['days_left_out']} days before it were never sealed.")
            if day >= header["exported_at"][:10]:
                notes.append(f"{name}, {day}: it was sealed before its end, as by a clock that was ahead.")
            if seal["state"] != "complete":
                notes.append(f"{name}, {day}: {seal['state']}. {seal['reason']}")
    return tuple(notes)


def report(found: Verified, keys_trusted: bool) -> list[str]:
    """Return what an export proves, in sentences."""
    whose = "Whose keys these are was not checked: name the key that you trust with --key."
    period = f"{found.header['from']} to {found.header['to']}, written {found.header['exported_at']}"
    counts = (
        f"{found.seals:,} seals of {len(found.days):,} organizations and {found.events:,} events are intact."
    )
    signed = f"Signed by {', '.join(found.keys)}."
    return [*found.notes, counts, f"The file is of {period}.", signed, *([] if keys_trusted else [whose])]


def main(arguments: list[str]) -> int:
    """Print what a file proves, and return 0; or print why it is refused, and return 1."""
    parser = argparse.ArgumentParser(description="Verify an export of day seals of the Jira Audit Relay.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--key", action="append", help="A public key that you trust. Repeat it for each key.")
    parser.add_argument("--after", type=Path, help="An earlier file, whose chains must go on in this one.")
    given = parser.parse_args(arguments)
    try:
        found = verify(given.file.read_bytes(), given.key)
        if given.after is not None:
            require_continued(found, verify(given.after.read_bytes(), given.key))
    except OSError as error:
        parser.error(f"{error.filename} cannot be read: {error.strerror}")
    except RefusedError as error:
        sys.stderr.write(f"REFUSED. {_printable(str(error))}\n")
        return 1
    sys.stdout.write("".join(f"{_printable(each)}\n" for each in report(found, bool(given.key))))
    return 0


def _printable(text: str) -> str:
    """Return the text on one line: a name in the file cannot control the terminal."""
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""One dead letter: its headers, and the records that close it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

from relay.kafka import Record
from relay.kafka.producer import ProducerRecord

PREFIX = "relay."
FINGERPRINT = "fingerprint"
"""The header, without the prefix, of a mark or a successor: the fingerprint of the letter that it closes."""

_IDENTITY = ("service", "destination", "flow", "replay", "tries")
_MAX_OFFSET = 2**63 - 1
_OFFSET_DIGITS = len(str(_MAX_OFFSET))

Header = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter without its content, or one part of it. `at`: ms UTC, when it was written.

    `headers`: the relay's own, without the prefix `relay.`, such as reason and service. `original_headers`: those of the record.
    `checksum`: of key and content.
    """

    partition: int
    offset: int
    at: int
    organization: str | None
    headers: Mapping[str, str]
    size: int
    original_headers: tuple[Header, ...] = ()
    checksum: int = 0

    @property
    def fingerprint(self) -> str:
        """Identifies the letter in a log where it has another offset. It is that of the first part of a letter of several.

        Letters of one refusal have the same, unless they are divided in other places.
        It has no address, since `topics copy` translates addresses and a mirror does not.
        """
        identity = "\n".join(self.headers.get(each, "") for each in _IDENTITY)
        return f"{crc32(identity.encode(), self.checksum):08x}"

    @property
    def address(self) -> str:
        return address_of(self.partition, self.offset)

    @property
    def part(self) -> tuple[int, int]:
        """Number of this part and count of the parts; (1, 1) without a valid header."""
        number, _, count = self.headers.get("part", "").partition("/")
        part = _number(number), _number(count)
        if part[0] is not None and part[1] is not None and 1 <= part[0] <= part[1]:
            return part[0], part[1]
        return 1, 1

    @property
    def reason(self) -> str:
        return self.headers.get("reason", "")

    @property
    def destination(self) -> str | None:
        """The destination that rejected the record; None: a producer wrote the letter."""
        return self.headers.get("destination") or None

    @property
    def written_by(self) -> str:
        """The destination, else the service that wrote it."""
        return self.destination or self.headers.get("service", "")

    @property
    def original(self) -> tuple[str, int, int] | None:
        """Topic, partition and offset of the record; None: it has none, as a record that a producer could not read."""
        topic = self.headers.get("topic")
        partition, offset = (_number(self.headers.get(each, "")) for each in ("partition", "offset"))
        return None if not topic or partition is None or offset is None else (topic, partition, offset)

    @property
    def tries(self) -> int:
        """How often the record was refused, this time included."""
        return _number(self.headers.get("tries", "")) or 1

    @property
    def forebear(self) -> int | None:
        """Offset of the letter whose redrive failed with this one, in the same partition; None: it is the first of its record."""
        return _offset_in(self.partition, self.headers.get("redrive"))

    @property
    def redriven(self) -> int | None:
        """Offset of the letter that this record marks as redriven; None: it is a letter, and no mark."""
        return _offset_in(self.partition, self.headers.get("redriven"))

    def closes(self, letter: "DeadLetter") -> bool:
        """Return whether this mark or successor is that of the letter. In a mirrored log, another letter can be at its address.

        Records of older releases have no fingerprint: their addresses are believed.
        """
        offset = self.redriven if self.is_mark else self.forebear
        fingerprint = self.headers.get(FINGERPRINT, letter.fingerprint)
        return (self.partition, offset, fingerprint) == (letter.partition, letter.offset, letter.fingerprint)

    @property
    def named(self) -> Mapping[str, int | None]:
        """Offsets of the letters of the same partition that this record names, by header; None: an address of another log."""
        names = ("redriven", "redrive", "duplicate-of")
        return {
            each: _offset_in(self.partition, self.headers[each]) for each in names if each in self.headers
        }

    @property
    def is_mark(self) -> bool:
        return "redriven" in self.headers

    @property
    def was_published_before(self) -> bool:
        """Whether this is the mark of a letter whose record was in Kafka already."""
        return self.is_mark and "published" in self.headers

    @property
    def is_duplicate_mark(self) -> bool:
        return self.is_mark and "duplicate-of" in self.headers


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A letter of the same refusal as another of its partition."""

    offset: int
    fingerprint: str


def address_of(partition: int, offset: int) -> str:
    return f"{partition}/{offset}"


def parse_letter(record: Record) -> DeadLetter:
    """Parse a record of the dead-letter topic: a letter, a part of one, or a mark.

    The relay's headers are behind those of the record, from `relay.reason` or, in a mark, `relay.redriven` on. The record may
    have had headers of these names itself.
    """
    own = own_headers_start(record.headers)
    headers = {
        name.removeprefix(PREFIX): (value or b"").decode("utf-8", "replace")
        for name, value in record.headers[own:]
        if name.startswith(PREFIX)
    }
    organization = None if record.key is None else record.key.decode("utf-8", "replace")
    size = len(record.value or b"")
    original = tuple(record.headers[:own])
    checksum = crc32(record.value or b"", crc32(record.key or b""))
    return DeadLetter(
        record.partition, record.offset, record.timestamp, organization, headers, size, original, checksum
    )


def mark_record(
    topic: str,
    letter: DeadLetter,
    key: bytes | None,
    replay: str,
    at_ms: int,
    *,
    published_before: bool = False,
) -> ProducerRecord:
    """Return the record that marks a letter as redriven by the job `replay`; a letter with parts is named by its first one.

    Its value is empty, and not None: the topic is not compacted, and a mark deletes nothing. `published_before`: the record of a
    producer's letter was in Kafka already, and the job published nothing for it.
    """
    fields = {"redriven": letter.address, FINGERPRINT: letter.fingerprint, "replay": replay}
    if published_before:
        fields["published"] = "before"
    return _mark(topic, letter.partition, key, at_ms, fields)


def duplicate_mark_record(
    topic: str, letter: DeadLetter, duplicate: Duplicate, key: bytes | None, replay: str, at_ms: int
) -> ProducerRecord:
    """Return the record that marks `duplicate`, in the same partition, as the same refusal as `letter`, which the job redrove."""
    fields = {
        "redriven": address_of(letter.partition, duplicate.offset),
        "duplicate-of": letter.address,
        FINGERPRINT: duplicate.fingerprint,
        "replay": replay,
    }
    return _mark(topic, letter.partition, key, at_ms, fields)


def refused_by_live(letter: DeadLetter, live_topic: str) -> bool:
    """Return whether the live flow refused the event, so that it is missing there.

    Letters of a release without `relay.flow` are of the live flow if their event is on the live topic, and no replay refused it.
    """
    flow = letter.headers.get("flow")
    if flow is not None:
        return flow == "live"
    return letter.headers.get("topic") == live_topic and "replay" not in letter.headers


def _mark(
    topic: str, partition: int, key: bytes | None, at_ms: int, fields: Mapping[str, str]
) -> ProducerRecord:
    headers = relay_headers({**fields, "at": str(at_ms)})
    return ProducerRecord(topic, partition, key or b"", b"", at_ms, headers)


def relay_headers(fields: Mapping[str, str]) -> list[Header]:
    """Return these fields as headers of the relay."""
    return [(PREFIX + name, text.encode()) for name, text in fields.items()]


def own_headers_start(headers: Sequence[Header]) -> int:
    """Return the index of the first header of the relay; those before it are the record's."""
    starts = (PREFIX + "reason", PREFIX + "redriven")
    found = [index for index, (name, _) in enumerate(headers) if name in starts]
    return found[-1] if found else 0


def _offset_in(partition: int, address: str | None) -> int | None:
    """Return the offset of an address in this partition. An address in another one is of another log, such as a mirrored one's."""
    number, _, offset = (address or "").partition("/")
    return _number(offset) if number == str(partition) else None


def _number(text: str) -> int | None:
    """Return a number that Kafka can have as an offset. None: the header is wrong, and hides no other letter."""
    number = int(text) if text.isdecimal() and len(text) <= _OFFSET_DIGITS else -1
    return number if 0 <= number <= _MAX_OFFSET else None

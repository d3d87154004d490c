"""Which events a person looks for, and what a record must hold to be one of them. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from management.organizations.validation import InputError
from management.personal_data import without_personal_data
from management.times import parse_time

MAX_TEXT_CHARS = 200
_MAX_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Conditions that an event meets all of. Empty or None: any.

    `from_ms` inclusive, `to_ms` exclusive: when it was collected, in ms UTC. `text`: a part of a value, in letters of any case;
    of values that may be personal only if `personal`.
    """

    organization: str = ""
    id: int | None = None
    text: str = ""
    from_ms: int | None = None
    to_ms: int | None = None
    personal: bool = False
    mode: str = ""

    def may_match(self, key: bytes | None, value: bytes | None, at: int) -> bool:
        """Return False for a record that needs no decoding: it has another key or time, or lacks bytes that each match has."""
        if value is None or (self.organization and key != self.organization.encode()):
            return False
        if (self.from_ms is not None and at < self.from_ms) or (self.to_ms is not None and at >= self.to_ms):
            return False
        if self.id is not None and zigzag(self.id) not in value:
            return False
        return not self.text or not self.text.isascii() or self.text.lower().encode() in value.lower()

    def matches(self, event: Mapping[str, Any]) -> bool:
        """Return whether a decoded event matches."""
        if self.id is not None and event.get("id") != self.id:
            return False
        if self.mode and event.get("mode") != self.mode:
            return False
        if not self.text:
            return True
        wanted = self.text.casefold()
        searched = event if self.personal else without_personal_data(event)
        return any(wanted in each.casefold() for each in _texts(searched))


def read_query(fields: Mapping[str, str], *, personal: bool = False) -> EventQuery:
    """Return the query of a form or of an address: organization, id, text, from, to. Raises InputError.

    `id` may be an EventUid, as destinations show it: the organization before the last slash, and perhaps a variant behind the id.
    """
    organization, number = fields.get("organization", "").strip(), fields.get("id", "").strip()
    if "/" in number:
        named, number = _split_uid(number)
        if organization not in {"", named}:
            raise InputError(
                f"The event is one of {named}, and not of {organization}. Leave one of the two empty."
            )
        organization = named
    text = fields.get("text", "").strip()
    if len(text) > MAX_TEXT_CHARS:
        raise InputError(f"The text has more than {MAX_TEXT_CHARS} characters. Search for a part of it.")
    begin, end = (fields.get(name, "").strip() for name in ("from", "to"))
    query = EventQuery(
        organization,
        _event_id(number) if number else None,
        text,
        parse_time(begin) if begin else None,
        parse_time(end) if end else None,
        personal,
    )
    if query.from_ms is not None and query.to_ms is not None and query.from_ms >= query.to_ms:
        raise InputError("The time range ends before it begins.")
    return query


def _split_uid(uid: str) -> tuple[str, str]:
    organization, _, number = uid.rpartition("/")
    if not (number.isascii() and number.isdigit()) and "/" in organization:  # a variant is behind the id
        organization, _, number = organization.rpartition("/")
    return organization, number


def _event_id(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= _MAX_ID):
        raise InputError(f"{text[:80]} is no id of an event: an id is a whole number, such as 10017.")
    return int(text)


def zigzag(number: int) -> bytes:
    """Return the bytes by which Avro encodes a long, in every schema and wherever it is in the record."""
    rest, encoded = (number << 1) ^ (number >> 63), bytearray()
    while rest > 0x7F:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for each in value.values():
                yield from _texts(each)
        case list():
            for each in value:
                yield from _texts(each)

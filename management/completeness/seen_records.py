"""What records of events say, by the hash of their bytes: one that a later pass finds unchanged is not decoded again. Pure."""

from dataclasses import dataclass
from hashlib import blake2b
from struct import Struct

import orjson

from management.completeness.canonical import EventKey, event_key
from producer.events import Event

MAX_RECORDS = 200_000
"""Some 45 MB: 100,000 events, each as the audit log lists it and as Kafka has it. The rest is decoded in each pass."""
_PACKED = Struct("<qqq32s")


@dataclass(frozen=True, slots=True)
class SeenRecord:
    """What a count needs of an event. `created`, `collected`: ms UTC."""

    key: EventKey
    created: int
    collected: int
    variant: str | None = None


class SeenRecords:
    """Records that were found in the present period or the one before. All bytes are hashed each time, so a change is found."""

    def __init__(self, most: int = MAX_RECORDS) -> None:
        self._most, self._period = most, 0
        self._now, self._before = dict[bytes, bytes](), dict[bytes, bytes]()

    def begin(self, period: int) -> None:
        """Begin a period, and forget what was not found since the beginning of the last one."""
        if period != self._period:
            self._period, self._before, self._now = period, self._now, {}

    def find(self, content: bytes) -> SeenRecord | None:
        """Return what a record of these bytes says. None: it is not known."""
        digest = _digest(content)
        packed = self._now.get(digest)
        if packed is None:
            packed = self._before.pop(digest, None)
            if packed is None:
                return None
            self._now[digest] = packed
        event_id, created, collected, key = _PACKED.unpack(packed)
        return SeenRecord(EventKey(event_id, key), created, collected)

    def add(self, content: bytes, seen: SeenRecord) -> None:
        """Keep what a record says, while there is room. One with a variant is rare, and not kept."""
        if seen.variant is None and len(self._now) + len(self._before) < self._most:
            packed = _PACKED.pack(seen.key.id, seen.created, seen.collected, seen.key.content)
            self._now[_digest(content)] = packed

    def key_of(self, event: Event) -> EventKey:
        """Return id and hash of an event that the audit log lists."""
        try:
            content = orjson.dumps(event)
        except orjson.JSONEncodeError:
            return event_key(event)
        if (seen := self.find(content)) is not None:
            return seen.key
        key = event_key(event)
        self.add(content, SeenRecord(key, event["created"], 0))
        return key


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=16).digest()

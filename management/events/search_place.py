"""How far a search for events has come: the part of each partition that is not read yet, as a text for the next request. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from management.organizations.validation import InputError
from relay.kafka import TopicPartition

_PART = re.compile(r"([eb])(\d{1,9})\.(\d{1,18})", re.ASCII)


@dataclass(slots=True)
class UnsearchedRange:
    """Offsets [low, high) of a partition that a search has not read. `reached_at`: from then on, it has read everything there."""

    low: int
    high: int
    reached_at: int | None = None

    @property
    def finished(self) -> bool:
        return self.low >= self.high


def encode_place(unread: Mapping[TopicPartition, UnsearchedRange], events_topic: str) -> str:
    """Return the unfinished partitions as a text, with the offset before which each is to be read."""
    parts = (
        f"{'e' if tp.topic == events_topic else 'b'}{tp.partition}.{each.high}"
        for tp, each in sorted(unread.items())
        if not each.finished
    )
    return "_".join(parts)


def decode_place(text: str, events_topic: str, backfill_topic: str) -> dict[TopicPartition, int]:
    """Return the offset before which each partition is to be read. Raises InputError for any other text."""
    found = {}
    for part in text.split("_"):
        match = _PART.fullmatch(part)
        if match is None:
            raise InputError(
                "The place to go on from is not one that the console made. Begin the search again."
            )
        topic = events_topic if match[1] == "e" else backfill_topic
        found[TopicPartition(topic, int(match[2]))] = int(match[3])
    return found


def read_back_to(unread: Iterable[UnsearchedRange]) -> int | None:
    """Return the instant from which on every partition is read, in ms UTC. None: none has been read, or all are finished."""
    reached = [each.reached_at for each in unread if not each.finished]
    known = [each for each in reached if each is not None]
    return max(known) if known and len(known) == len(reached) else None

"""The history of changes of destinations, on the topic that has those of organizations."""

from collections.abc import Mapping
from dataclasses import dataclass

from relay.change_log import write_change
from relay.kafka.connection import Connection


@dataclass(frozen=True, slots=True)
class Change:
    """What an operator changed of a destination, at `at` (ms UTC). `before` and `after`: facts without secrets; None: no facts."""

    destination: str
    who: str
    at: int
    what: str
    before: Mapping[str, object] | None = None
    after: Mapping[str, object] | None = None


def change_key(destination: str) -> str:
    """Return the key of a destination's changes; no organization can have this name."""
    return f"destination/{destination}"


async def record_change(connection: Connection, change: Change) -> None:
    """Write a change to the history. Raises TopicWriteError if Kafka does not confirm it."""
    key = change_key(change.destination)
    await write_change(connection, key, change.who, change.at, change.what, change.before, change.after)

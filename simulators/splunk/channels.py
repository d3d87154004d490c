"""Indexer acknowledgement: the channels of one node, whose acknowledgements are given once and forgotten at a restart."""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Channel:
    next_id: int = 0
    due: dict[int, float] = field(default_factory=dict)
    """When each id is acknowledged, in seconds of a monotonic clock. An id that was acknowledged is gone."""


class Channels:
    """The channels of a node. `delay_seconds` is how long indexing takes; None: it never ends."""

    def __init__(self) -> None:
        self.delay_seconds: float | None = 0.0
        self._channels: dict[str, _Channel] = {}

    def __contains__(self, channel: str) -> bool:
        return channel in self._channels

    def __len__(self) -> int:
        return len(self._channels)

    def add(self, channel: str) -> int:
        """Return the id of a request; ids of a channel count from 0."""
        found = self._channels.setdefault(channel, _Channel())
        number, found.next_id = found.next_id, found.next_id + 1
        found.due[number] = math.inf if self.delay_seconds is None else time.monotonic() + self.delay_seconds
        return number

    def ask(self, channel: str, ids: Iterable[int]) -> dict[str, bool]:
        """Return whether each request is indexed. True is given once: the id is then forgotten."""
        due, now = self._channels[channel].due, time.monotonic()
        found = {number: due.get(number, math.inf) <= now for number in ids}
        for number, indexed in found.items():
            if indexed:
                del due[number]
        return {str(number): indexed for number, indexed in found.items()}

    def index_everything(self) -> None:
        """Acknowledge each request that waits, from now on."""
        for channel in self._channels.values():
            channel.due = dict.fromkeys(channel.due, 0.0)

    def forget(self) -> None:
        """Forget every channel and id, as a restart does."""
        self._channels.clear()

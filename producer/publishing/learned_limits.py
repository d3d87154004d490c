"""The largest message of each topic by what refusals have shown, for limits that Kafka does not report. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from relay.kafka.size_refusals import SizeRefusal
from relay.kafka.topic_facts import KEY_AND_HEADERS_BYTES, without_key_and_headers
from relay.kafka.topics import MAX_EVENT_BYTES

MIN_MESSAGE_BYTES = 10_000
_UNLIMITED_BYTES = MAX_EVENT_BYTES + KEY_AND_HEADERS_BYTES


@dataclass(slots=True)
class _LearnedLimit:
    """Sizes are bytes of a message. `settled`: the last refusal led to it; a larger `limit` is being tried since `since`."""

    limit: int
    settled: int
    since: float


class LearnedLimits:
    """Halves the largest message of a topic at a refusal, and tries its double every `raise_seconds`.

    An operator may have raised a limit that Kafka does not report. A refused trial returns to the limit before it.
    Instants are seconds of one clock that never goes back.
    """

    def __init__(self, raise_seconds: float = 600.0) -> None:
        self._raise_seconds = raise_seconds
        self._topics: dict[str, _LearnedLimit] = {}

    @property
    def by_topic(self) -> Mapping[str, int]:
        """The limits by topic, in bytes of a message."""
        return {topic: learned.limit for topic, learned in self._topics.items()}

    def refused(self, refusal: SizeRefusal, now: float) -> None:
        """Learn from a refusal of a size that the limit allows."""
        before, half = self._topics.get(refusal.topic), max(MIN_MESSAGE_BYTES, refusal.sent_bytes // 2)
        settled = half
        if before is not None and without_key_and_headers(before.settled) < refusal.sent_bytes:
            settled = before.settled
        self._topics[refusal.topic] = _LearnedLimit(max(settled, half), settled, now)

    def try_larger(self, now: float) -> None:
        """Double each limit that no refusal has confirmed for `raise_seconds`."""
        for learned in self._topics.values():
            if now - learned.since >= self._raise_seconds:
                learned.limit, learned.since = min(2 * learned.limit, _UNLIMITED_BYTES), now

    def forget(self) -> None:
        """Forget all limits, since an operator has changed one."""
        self._topics.clear()

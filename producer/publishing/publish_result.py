"""What the publisher has put into Kafka for one call."""

from collections import Counter
from dataclasses import dataclass

from producer.state.checkpoint import IdReuse


@dataclass(frozen=True, slots=True)
class PublishResult:
    """The new among the pending records: events by mode, `created` of the newest in ms, and dead letters."""

    events_by_mode: Counter[str]
    newest_created: int | None
    dead_letters: int
    id_reuse: IdReuse | None = None
    """Of the organization up to now. None: no two of its records had one id."""

"""The counts of a job, exact for its places: those of the records before and within them, and of no others. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from consumer.offsets.delivered import DeliveryProgress
from relay.kafka import TopicPartition
from relay.replays.job import ReplayProgress, ReplaySkip

Ending = Literal["sent", "skipped", "dead_lettered"]
"""How a record ended."""


@dataclass(frozen=True, slots=True)
class ReplayCounts:
    """Records by their ending, lost offsets, and skipped records by their reason."""

    sent: int = 0
    skipped: int = 0
    dead_lettered: int = 0
    lost: int = 0
    skips: tuple[ReplaySkip, ...] = ()

    @property
    def read(self) -> int:
        return self.sent + self.skipped + self.dead_lettered

    @classmethod
    def of(cls, progress: ReplayProgress) -> "ReplayCounts":
        return cls(progress.sent, progress.skipped, progress.dead_lettered, progress.lost, progress.skips)


class ReplayTally:
    """Counts each record once, when it ends. All records that have ended are before or within the places of that moment.

    A lost range counts once its place has passed it: before that, the next owner would find it lost again.
    """

    def __init__(self, before: ReplayCounts) -> None:
        """`before`: the counts that belong to the places at which this owner began."""
        self._endings: Counter[Ending] = Counter(
            {"sent": before.sent, "skipped": before.skipped, "dead_lettered": before.dead_lettered}
        )
        self._reasons = Counter({each.reason: each.count for each in before.skips})
        self._lost_count = before.lost
        self._lost: list[tuple[TopicPartition, int, int]] = []
        """Lost offsets whose place has not passed them: partition, offset behind them, count."""

    @property
    def ended_count(self) -> int:
        """How many records have ended, with any owner."""
        return self._endings.total()

    @property
    def sent(self) -> int:
        """How many records the destination has accepted, with any owner."""
        return self._endings["sent"]

    def ended(self, count: int, ending: Ending, reason: str = "") -> None:
        """Note how records ended."""
        self._endings[ending] += count
        if reason:
            self._reasons[reason] += count

    def lost(self, partition: TopicPartition, stop: int, count: int) -> None:
        """Note `count` undelivered offsets before `stop` that nobody has any more."""
        self._lost.append((partition, stop, count))

    def counts(self, places: Mapping[TopicPartition, DeliveryProgress]) -> ReplayCounts:
        """Return the counts of these places, which are those of this moment."""
        passed = [each for each in self._lost if each[1] <= places[each[0]].offset]
        self._lost_count += sum(count for _, _, count in passed)
        self._lost = [each for each in self._lost if each not in passed]
        ended, skips = self._endings, sorted(self._reasons.items())
        return ReplayCounts(
            ended["sent"],
            ended["skipped"],
            ended["dead_lettered"],
            self._lost_count,
            tuple(ReplaySkip(*each) for each in skips),
        )

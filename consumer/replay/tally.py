"""The counts of a job, exact for its places: those of the records before and within them, and of no others. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
        return cls(
            progress.sent, progress.skipped, progress.dead_lettered, progress.lost, tuple(progress.skips)
        )


@dataclass(slots=True)
class _Sums:
    """Counts that only grow."""

    endings: Counter[Ending] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    lost: int = 0

    def add(self, ending: Ending, reason: str) -> None:
        self.endings[ending] += 1
        if reason:
            self.reasons[reason] += 1

    def counts(self) -> ReplayCounts:
        ended, skips = self.endings, sorted(self.reasons.items())
        return ReplayCounts(
            ended["sent"],
            ended["skipped"],
            ended["dead_lettered"],
            self.lost,
            tuple(ReplaySkip(*each) for each in skips),
        )


class ReplayTally:
    """Remembers how each record ended until its place covers it.

    A record that ended behind the places is not counted: the next owner would deliver it again, and count it then.
    """

    def __init__(self, before: ReplayCounts) -> None:
        """`before`: the counts that belong to the places at which this owner began."""
        endings: Counter[Ending] = Counter(
            {"sent": before.sent, "skipped": before.skipped, "dead_lettered": before.dead_lettered}
        )
        self._covered = _Sums(
            endings, Counter({each.reason: each.count for each in before.skips}), before.lost
        )
        self._ended: dict[TopicPartition, dict[int, tuple[Ending, str]]] = {}
        """By offset, those that no place has passed."""
        self._lost: list[tuple[TopicPartition, int, int]] = []
        self.ended_count = 0
        """How many records ended with this owner."""

    def ended(
        self, partition: TopicPartition, offsets: Sequence[int], ending: Ending, reason: str = ""
    ) -> None:
        """Note how these records ended; each ends once."""
        self._ended.setdefault(partition, {}).update(dict.fromkeys(offsets, (ending, reason)))
        self.ended_count += len(offsets)

    def lost(self, partition: TopicPartition, start: int, stop: int) -> None:
        """Note offsets [start, stop) that nobody has any more."""
        self._lost.append((partition, start, stop))

    def counts(self, places: Mapping[TopicPartition, DeliveryProgress]) -> tuple[ReplayCounts, int]:
        """Return the counts of these places, which are never before those of an earlier call; and how many ended behind them."""
        ahead = _Sums()
        for partition, progress in places.items():
            ended = self._ended.get(partition, {})
            for offset in [each for each in ended if each < progress.offset]:
                self._covered.add(*ended.pop(offset))
            ranges = [(each.first, each.stop) for each in progress.delivered_ahead]
            for offset, how in ended.items() if ranges else ():
                if any(first <= offset < stop for first, stop in ranges):
                    ahead.add(*how)
        self._count_lost(places)
        behind = sum(map(len, self._ended.values())) - ahead.endings.total()
        return _together(self._covered, ahead), behind

    def _count_lost(self, places: Mapping[TopicPartition, DeliveryProgress]) -> None:
        """A lost range lies before the place as a whole or not at all: no record within it holds the place."""
        passed = [each for each in self._lost if each[0] in places and each[2] <= places[each[0]].offset]
        self._covered.lost += sum(stop - start for _, start, stop in passed)
        self._lost = [each for each in self._lost if each not in passed]


def _together(covered: _Sums, ahead: _Sums) -> ReplayCounts:
    return _Sums(
        covered.endings + ahead.endings, covered.reasons + ahead.reasons, covered.lost + ahead.lost
    ).counts()

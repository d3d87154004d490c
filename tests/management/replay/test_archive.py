"""The ranges of a replay from Kafka and an archive: they meet at the log start."""

import pytest

from consumer.replay.archive_plan import ArchiveSpan
from management.replay.archive import Window, begins_with, extended
from management.replay.notes import deleted_note
from management.replay.request import ReplayRequest
from relay.kafka import TopicPartition
from relay.kafka.log_reader import LogBounds

TP = TopicPartition("p.events", 0)
LOG_START, LOG_END = 100, 200


class Plan:
    """An archive that has offsets `first` to `last`; the event at offset n was collected at n seconds."""

    def __init__(self, first=None, last=None):
        self._first, self._last = first, last

    async def offset_at(self, _partition, at_ms):
        if self._first is None or at_ms > 1000 * self._last:
            return None
        return max(self._first, -(-at_ms // 1000))

    async def spans(self, partitions):
        if self._first is None:
            return {}
        span = ArchiveSpan(self._first, self._last, 1000 * self._first)
        return dict.fromkeys(partitions, span)


def in_kafka(at_ms):
    """Return the first kept offset that was collected at this time or later."""
    return min(max(LOG_START, -(-at_ms // 1000)), LOG_END)


@pytest.mark.parametrize("log_start", [0, LOG_START])
@pytest.mark.parametrize("archive", [(None, None), (10, 90), (10, 150), (120, 180), (10, 40)])
@pytest.mark.parametrize("window", [(0, None), (20_000, 30_000), (50_000, 150_000), (130_000, 140_000)])
async def test_a_range_has_what_kafka_and_the_archive_have_of_the_window(log_start, archive, window):
    """Each offset of the window that one of them has is in the range; before the log start, none that only precedes the window."""
    from_ms, to_ms = window
    bounds = {TP: LogBounds(log_start, LOG_END, LOG_END)}
    kafka = Window({TP: in_kafka(from_ms)}, {TP: LOG_END if to_ms is None else in_kafka(to_ms)})
    found = await extended(kafka, bounds, Plan(*archive), from_ms, to_ms)
    if log_start == 0:
        assert found == kafka
        return
    archived = set() if archive[0] is None else set(range(archive[0], min(archive[1] + 1, LOG_START)))
    wanted = {
        offset
        for offset in archived | set(range(LOG_START, LOG_END))
        if from_ms <= 1000 * offset < (to_ms or 10**9)
    }
    covered = set(range(found.starts[TP], found.ends[TP]))
    assert wanted <= covered
    assert not any(1000 * offset < from_ms for offset in covered)
    assert found.ends[TP] <= max(LOG_START, kafka.ends[TP])


async def test_single_events_are_read_from_the_beginning_of_the_archive():
    bounds = {TP: LogBounds(LOG_START, LOG_END, LOG_END)}
    kafka = Window({TP: LOG_START}, {TP: LOG_END})
    assert (await extended(kafka, bounds, Plan(10, 90), None, None)).starts == {TP: 10}


async def test_what_neither_has_is_said_with_its_date():
    request = ReplayRequest("sentinel", from_ms=5_000, archive="lake")
    begins = await begins_with(Plan(10, 90), {TP: 100_000}, 5_000)
    note = deleted_note(begins, request, ["lake"])
    assert (
        "Neither Kafka nor the archive lake has older events: p.events/0 begins at 1970-01-01T00:00:10Z"
        in note
    )
    assert await begins_with(Plan(10, 90), {TP: 100_000}, 10_000) == {}
    assert await begins_with(Plan(), {TP: None}, 10_000) == {TP: None}
    assert deleted_note({}, request, []) is None

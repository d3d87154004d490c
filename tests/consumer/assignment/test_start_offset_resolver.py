from dataclasses import replace
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry

from consumer.assignment.start_offset_resolver import StartOffsetResolver
from consumer.metrics import ConsumerMetrics
from consumer.offsets.backup import OffsetBackup
from consumer.offsets.delivered import DeliveredRange, DeliveryProgress, RecordFingerprint
from consumer.timing import StartTiming
from relay.kafka import KafkaError, OffsetAndMetadata, TopicPartition
from tests.support.in_memory_log import InMemoryLog
from tests.support.messages import records_at

A, B = TopicPartition("events", 0), TopicPartition("events", 1)
TIMING = StartTiming()

(FIFTIETH, LAST) = records_at([49, 79])
GROUP_PROGRESS = DeliveryProgress(7, 50, RecordFingerprint.of(FIFTIETH))


class StoredOffsets:
    """What Kafka knows of a group (relay.kafka.bounded_consumer.BoundedConsumer)."""

    def __init__(self, committed, first=0, end=100, at=60):
        self._committed = committed
        self._first = first
        self.end = end
        self._at = at
        self.asked_times = []

    async def committed(self, partitions):
        return {each: self._as_committed(self._committed.get(each)) for each in partitions}

    @staticmethod
    def _as_committed(found):
        match found:
            case DeliveryProgress():
                return found.to_offset_and_metadata()
            case int():
                return OffsetAndMetadata(found, "")

    async def first_offsets(self, partitions):
        return dict.fromkeys(partitions, self._first)

    async def end_offsets(self, partitions):
        return dict.fromkeys(partitions, self.end)

    async def offsets_for_time(self, partitions, at_ms):
        self.asked_times.append(at_ms)
        return dict.fromkeys(partitions, self._at)


def resolver(start="earliest", backup=None, clock=lambda: 0.0, log=None):
    async def read_backup():
        if backup is None:
            raise AssertionError("nobody should have asked")
        return backup

    metrics = ConsumerMetrics(CollectorRegistry()).for_pipeline("sentinel", "live")
    return StartOffsetResolver(start, read_backup, InMemoryLog(lambda: log or {}), metrics, TIMING, clock)


MOMENT = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize(("start", "offset"), [("earliest", 0), ("latest", 100), (MOMENT, 60)])
async def test_the_first_start_is_an_explicit_choice(start, offset):
    group = StoredOffsets({})
    found = await resolver(start, OffsetBackup({}, 0)).resolve(group, [A])
    assert found[A].offset == offset
    assert group.asked_times == ([MOMENT.timestamp() * 1000] if start is MOMENT else [])


async def test_a_time_after_the_last_event_is_the_end():
    found = await resolver(MOMENT, OffsetBackup({}, 0)).resolve(StoredOffsets({}, at=None), [A])
    assert found[A].offset == 100


async def test_the_status_topic_is_asked_only_about_what_kafka_does_not_know():
    found = await resolver().resolve(StoredOffsets({A: 7, B: 8}), [A, B])
    assert {each: found[each].offset for each in found} == {A: 7, B: 8}

    found = await resolver("latest", OffsetBackup({B: DeliveryProgress.starting_at(30)}, 1)).resolve(
        StoredOffsets({A: 7}), [A, B]
    )
    assert {each: found[each].offset for each in found} == {A: 7, B: 30}


@pytest.mark.parametrize(("backed_up", "offset", "lost"), [(40, 40, 0), (4, 10, 6), (None, 10, 0)])
async def test_a_forgotten_group_resumes_at_its_last_backup(backed_up, offset, lost):
    backup = OffsetBackup({} if backed_up is None else {A: DeliveryProgress.starting_at(backed_up)}, 1)
    found = (await resolver(backup=backup).resolve(StoredOffsets({}, first=10), [A]))[A]
    assert (found.offset, found.lost_count) == (offset, lost)


@pytest.mark.parametrize(
    ("committed", "first", "expected"),
    [
        (
            DeliveryProgress(7, 50, None, (DeliveredRange(60, RecordFingerprint.of(LAST)),)),
            90,
            (90, (50, 90), 20),
        ),
        (
            DeliveryProgress(7, 50, None, (DeliveredRange(60, RecordFingerprint.of(LAST)),)),
            70,
            (80, (50, 70), 10),
        ),
        (5, 10, (10, (5, 10), 5)),
        (10, 10, (10, None, 0)),
    ],
)
async def test_an_event_that_kafka_deleted_before_its_delivery_is_lost(committed, first, expected):
    """And what lies in a range that was delivered is not."""
    found = (await resolver(log={79: LAST}).resolve(StoredOffsets({A: committed}, first=first), [A]))[A]
    assert (found.offset, found.deleted_range, found.lost_count) == expected


async def test_a_loss_that_could_not_be_recorded_is_found_again():
    """The start is remembered only after the record, or the next look-up would begin after the loss in silence."""
    noted, failures = [], [KafkaError("no answer")]

    class Losses:
        async def note(self, *found):
            if failures:
                raise failures.pop()
            noted.append(found)

    one = resolver(log={})
    one.losses = Losses()
    group = StoredOffsets({A: DeliveryProgress(7, 50, RecordFingerprint(49, 1, 1_000)), B: 8}, first=60)
    with pytest.raises(KafkaError, match="no answer"):
        await one.resolve(group, [A])
    assert (await one.resolve(group, [A]))[A].offset == 60
    assert noted == [(A, (50, 60), 10, 1_000)]


async def test_an_end_that_lies_behind_is_waited_for_before_it_is_believed():
    """A broker that comes up may tell too low an end; one that has lost the end of its log never tells another."""
    now = 0.0
    one = resolver(backup=OffsetBackup({A: DeliveryProgress.starting_at(90)}, 5_000_000), clock=lambda: now)
    group = StoredOffsets({A: 90, B: 95}, end=80)

    with pytest.raises(
        KafkaError, match=r"partition 0, ends at offset 80, but the group has delivered up to 90"
    ):
        await one.resolve(group, [A, B])
    now = TIMING.log_end_wait_seconds + 1
    found = await one.resolve(group, [A, B])
    assert (found[A].offset, found[B].offset) == (60, 60)
    assert group.asked_times == [5_000_000 - TIMING.reread_margin_ms] * 2


async def test_an_end_that_comes_back_is_forgotten():
    now = 0.0
    one = resolver(clock=lambda: now)
    group = StoredOffsets({A: 90}, end=80)
    with pytest.raises(KafkaError):
        await one.resolve(group, [A])
    group.end = 95
    assert (await one.resolve(group, [A]))[A].offset == 90
    group.end, now = 80, TIMING.log_end_wait_seconds + 1
    with pytest.raises(KafkaError):
        await one.resolve(group, [A])


def resolver_ahead_of_group(log):
    """The resolver of a process that has delivered up to LAST, where the group's progress is GROUP_PROGRESS."""
    one = resolver(log=log, backup=OffsetBackup({}, 0))
    one.known_progress[A] = replace(GROUP_PROGRESS, offset=80, last=RecordFingerprint.of(LAST))
    return one


async def test_an_event_delivered_and_not_committed_is_not_delivered_again():
    found = (await resolver_ahead_of_group({79: LAST}).resolve(StoredOffsets({A: GROUP_PROGRESS}), [A]))[A]
    assert (found.offset, found.lost_count) == (80, 0)


@pytest.mark.parametrize("change", [{"value": b"another"}, {"key": b"another"}, None])
async def test_where_the_log_is_another_behind_the_groups_offset_that_offset_counts(change):
    """Kafka has lost the end of the log, and other events are at the offsets of delivered ones."""
    log = {49: FIFTIETH} | ({} if change is None else {79: replace(LAST, **change)})
    found = (await resolver_ahead_of_group(log).resolve(StoredOffsets({A: GROUP_PROGRESS}), [A]))[A]
    assert (found.progress, found.reason) == (GROUP_PROGRESS, "the group's committed offset")


async def test_where_the_log_is_another_before_the_groups_offset_it_is_read_again():
    """The log has grown past the offset by now, which proves nothing about the record there."""
    group = StoredOffsets({A: GROUP_PROGRESS})
    found = (await resolver_ahead_of_group({49: replace(FIFTIETH, value=b"another")}).resolve(group, [A]))[A]
    assert found.offset == 60
    assert found.progress.lineage != GROUP_PROGRESS.lineage


@pytest.mark.parametrize(("backup_written_at", "since"), [(9_000_000, 3_000_000), (2_000_000, 2_000_000)])
async def test_where_a_lost_end_is_noticed_late_it_is_read_from_the_last_delivered_record(
    backup_written_at, since
):
    """While the destination takes nothing, offsets are backed up for hours after Kafka has lost what stood behind them."""
    delivered = RecordFingerprint.of(replace(FIFTIETH, timestamp=3_000_000))
    group = StoredOffsets({A: replace(GROUP_PROGRESS, last=delivered)})
    await resolver(backup=OffsetBackup({}, backup_written_at), log={49: FIFTIETH}).resolve(group, [A])
    assert group.asked_times == [3_000_000, since - TIMING.reread_margin_ms]


async def test_a_deleted_record_disproves_no_offset():
    found = (await resolver().resolve(StoredOffsets({A: GROUP_PROGRESS}, first=50), [A]))[A]
    assert (found.progress, found.lost_count) == (GROUP_PROGRESS, 0)


@pytest.mark.parametrize("offset", [30, 50, 70])
async def test_an_offset_that_an_operator_has_set_is_obeyed(offset):
    found = (await resolver_ahead_of_group({79: LAST}).resolve(StoredOffsets({A: offset}), [A]))[A]
    assert (found.offset, found.progress.delivered_ahead) == (offset, ())


BACKED_UP = replace(GROUP_PROGRESS, lineage=1)


async def test_a_last_record_at_another_offset_is_where_reading_goes_on():
    """A mirror holds the same records at other offsets; that is found out for backups and for commits."""
    moved = replace(FIFTIETH, offset=31)
    for group, backup in (
        (StoredOffsets({}, at=20), OffsetBackup({A: BACKED_UP}, 1)),
        (StoredOffsets({A: GROUP_PROGRESS}, at=20), None),
    ):
        found = (await resolver(backup=backup, log={31: moved, 49: LAST}).resolve(group, [A]))[A]
        assert (found.offset, found.progress.last) == (32, RecordFingerprint.of(moved))
        assert found.progress.lineage not in {GROUP_PROGRESS.lineage, BACKED_UP.lineage}
        assert "offset 31" in found.mismatch
        assert group.asked_times == [FIFTIETH.timestamp]


async def test_a_last_record_that_is_nowhere_means_reading_from_before_its_time():
    group = StoredOffsets({}, at=20)
    backup = OffsetBackup({A: BACKED_UP}, FIFTIETH.timestamp + 5)
    found = (await resolver(backup=backup, log={49: LAST}).resolve(group, [A]))[A]
    assert found.offset == 20
    assert "delivered again" in found.mismatch
    assert group.asked_times == [FIFTIETH.timestamp, 0]


@pytest.mark.parametrize(("log", "offset"), [({}, 50), ({3: LAST}, 0)])
async def test_an_offset_for_which_no_record_is_known_counts_only_where_none_is_before_it(log, offset):
    for group, backup in (
        (StoredOffsets({}), OffsetBackup({A: replace(BACKED_UP, last=None)}, 1)),
        (StoredOffsets({A: replace(GROUP_PROGRESS, last=None)}), None),
    ):
        found = (await resolver(backup=backup, log=log).resolve(group, [A]))[A]
        assert found.offset == offset
        assert (found.mismatch is not None) == bool(log)


@pytest.mark.parametrize(
    "group", [StoredOffsets({A: 50}), StoredOffsets({})], ids=["operator", "first start"]
)
async def test_a_start_that_nobody_delivered_up_to_is_proved_from_then_on(group):
    """The record before it is committed with it, so that the offset is not believed in another log later."""
    found = (await resolver("latest", OffsetBackup({}, 0), log={49: FIFTIETH}).resolve(group, [A]))[A]
    assert found.progress.last == RecordFingerprint.of(FIFTIETH)


async def test_where_the_last_record_is_deleted_reading_begins_at_the_first_kept():
    """Only ends of transactions are between it and the offset; in another log, events could be."""
    found = (await resolver().resolve(StoredOffsets({A: replace(GROUP_PROGRESS, offset=55)}, first=52), [A]))[
        A
    ]
    assert (found.offset, found.lost_count, found.deleted_range) == (52, 0, None)

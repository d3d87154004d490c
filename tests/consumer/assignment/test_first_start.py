"""How a first start with `recent` divides a partition, and where the group of older events ends."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry

from consumer.assignment.first_start import is_complete
from consumer.assignment.start_offset_resolver import StartOffsetResolver
from consumer.metrics import ConsumerMetrics
from consumer.offsets.backup import OffsetBackup
from consumer.offsets.committer import OffsetCommitter
from consumer.offsets.delivered import DeliveryProgress, RecordFingerprint
from consumer.timing import StartTiming
from relay.kafka import KafkaError, OffsetAndMetadata, TopicPartition
from tests.support.fake_sentinel import FakeSentinel
from tests.support.in_memory_group import A, FakeGroup, assign, handler
from tests.support.in_memory_log import InMemoryLog
from tests.support.messages import records_at
from tests.support.waiting import wait_until

P = TopicPartition("events", 0)
HOUR_MS = 3_600_000
NOW = 1_800_000_000_000
(FIFTIETH,) = records_at([49])
PROVED = RecordFingerprint.of(FIFTIETH)


class Log:
    """What Kafka knows of one partition and a group (relay.kafka.bounded_consumer.BoundedConsumer)."""

    def __init__(self, first=0, end=100, at=60, committed=None):
        self._first, self._end, self._at, self._committed = first, end, at, committed
        self.asked_times = []

    async def committed(self, partitions):
        return dict.fromkeys(partitions, self._committed)

    async def first_offsets(self, partitions):
        return dict.fromkeys(partitions, self._first)

    async def end_offsets(self, partitions):
        return dict.fromkeys(partitions, self._end)

    async def offsets_for_time(self, partitions, at_ms):
        self.asked_times.append(at_ms)
        return dict.fromkeys(partitions, self._at)


class MirrorLog(Log):
    """A log with these records by offset."""

    def __init__(self, records, committed):
        super().__init__(end=max(records) + 1, committed=committed)
        self._records = records

    async def offsets_for_time(self, partitions, at_ms):
        later = [offset for offset, each in sorted(self._records.items()) if each.timestamp >= at_ms]
        return dict.fromkeys(partitions, next(iter(later), None))


def resolver(start, live=None, backup=None, log=None, began=None):
    async def read_backup():
        return OffsetBackup({P: backup} if backup else {}, 1)

    return StartOffsetResolver(
        start,
        read_backup,
        InMemoryLog(lambda: log or {}),
        ConsumerMetrics(CollectorRegistry()).for_pipeline("sentinel", "live"),
        StartTiming(),
        live=live,
        now=lambda: NOW,
        began_ms=lambda: began,
    )


def begun_at(offset, older_last=None):
    """The live group's progress: it divided the partition at `offset`, or not for None."""

    async def live_progress(partitions):
        progress = DeliveryProgress(3, offset or 0, None, (), offset, older_last)
        return dict.fromkeys(partitions, progress)

    return live_progress


async def begin(consumer, start="recent", **options):
    return (await resolver(start, **options).resolve(consumer, [P]))[P].progress


@pytest.mark.parametrize(
    ("log", "offset", "live_from"),
    [
        (Log(), 60, 60),
        (Log(at=None), 100, 100),  # all is older, and what comes later is live
        (Log(at=0), 0, None),
        (Log(first=60), 60, None),  # Kafka has deleted what was older
        (Log(end=0, at=None), 0, None),
    ],
)
async def test_live_begins_with_the_last_hour_and_remembers_where(log, offset, live_from):
    progress = await begin(log)
    assert (progress.offset, progress.live_from) == (offset, live_from)
    assert log.asked_times == [NOW - HOUR_MS]


@pytest.mark.parametrize("start", ["earliest", "latest"])
async def test_another_setting_divides_nothing(start):
    assert (await begin(Log(), start)).live_from is None


@pytest.mark.parametrize(("began", "offset"), [(5, 60), (None, 100)])
async def test_latest_in_a_partition_that_was_added_is_the_time_at_which_the_destination_began(began, offset):
    """Its end is after events that nobody has sent. Where the time is not known, the end is all that is left."""
    log = Log()
    progress = (await resolver("latest", began=began).resolve(log, [P]))[P].progress
    assert (progress.offset, log.asked_times) == (offset, [] if began is None else [began])


@pytest.mark.parametrize(("live_from", "complete"), [(60, False), (None, True)])
async def test_older_events_begin_with_the_log_and_end_where_live_began(live_from, complete):
    progress = await begin(Log(), "earliest", live=begun_at(live_from))
    assert (progress.offset, progress.live_from) == (0, live_from or 0)
    assert is_complete(progress) == complete


async def test_older_events_wait_for_the_live_group():
    async def not_begun(_partitions):
        raise KafkaError("the live group has not begun")

    with pytest.raises(KafkaError):
        await begin(Log(), "earliest", live=not_begun)


@pytest.mark.parametrize("kept_by", ["group", "backup"])
async def test_an_end_that_was_committed_is_kept(kept_by):
    """Whatever the live group says now: an operator may have set its offset."""
    known = DeliveryProgress(7, 50, PROVED, (), 60)
    log = Log(committed=known.to_offset_and_metadata() if kept_by == "group" else None)
    backup = known if kept_by == "backup" else None
    progress = await begin(log, "earliest", live=begun_at(None), backup=backup, log={49: FIFTIETH})
    assert (progress.offset, progress.live_from) == (50, 60)


async def test_an_operator_who_sets_the_offset_changes_no_end():
    log = Log(committed=OffsetAndMetadata(7, ""))
    progress = await begin(log, "earliest", live=begun_at(60))
    assert (progress.offset, progress.live_from) == (7, 60)


@pytest.mark.parametrize(("first", "lost"), [(70, (50, 60)), (55, (50, 55))])
async def test_a_loss_of_older_events_names_no_live_ones(first, lost):
    known = DeliveryProgress(7, 50, PROVED, (), 60)
    log = Log(first=first, committed=known.to_offset_and_metadata())
    found = (await resolver("earliest", begun_at(60)).resolve(log, [P]))[P]
    assert found.deleted_range == lost


async def test_older_events_that_are_delivered_are_no_loss_when_kafka_deletes_them():
    known = DeliveryProgress(7, 60, replace(PROVED, offset=59), (), 60)
    log = Log(first=90, committed=known.to_offset_and_metadata())
    found = (await resolver("earliest", begun_at(60)).resolve(log, [P]))[P]
    assert (found.deleted_range, is_complete(found.progress)) == (None, True)


async def test_in_another_log_the_rest_of_older_events_is_named():
    known = DeliveryProgress(7, 50, PROVED, (), 60)
    log = Log(committed=known.to_offset_and_metadata())
    (another,) = records_at([49])
    another.value = b"another"
    found = (await resolver("earliest", begun_at(None), log={49: another}).resolve(log, [P]))[P]
    assert is_complete(found.progress)
    assert "not sent to history" in found.mismatch


@pytest.mark.parametrize("text", ["full", "with the record", "offset"])
async def test_a_split_offset_survives_brokers_that_accept_short_metadata_only(text):
    """What they accept of it names the split offset, so a restart does not end the group of older events."""
    live = DeliveryProgress(7, 80, None, (), 60, PROVED)
    committed = {
        "full": live.to_offset_and_metadata(),
        "with the record": live.to_offset_and_split_offset(with_record=True),
        "offset": live.to_offset_and_split_offset(with_record=False),
    }[text]
    progress = await begin(Log(committed=committed), log={49: FIFTIETH})
    assert progress.live_from == 60


@pytest.mark.parametrize(("limit", "kept"), [(4096, True), (80, True), (50, True), (20, True), (5, False)])
async def test_the_split_offset_is_committed_as_long_as_brokers_accept_anything(limit, kept):
    kafka = FakeGroup(30)
    kafka.max_metadata = limit
    committer = OffsetCommitter(kafka, ConsumerMetrics(CollectorRegistry()).for_pipeline("sentinel", "live"))
    await committer.commit(
        {A: DeliveryProgress(7, 20, replace(PROVED, offset=19), (), 10, replace(PROVED, offset=9))}
    )
    found = DeliveryProgress.from_offset_and_metadata(kafka.stored.offset, kafka.stored.metadata)
    assert (found.offset, found.live_from) == (20, 10 if kept else None)


@pytest.mark.parametrize("flow", ["live", "older"])
@pytest.mark.parametrize("carried", ["backup", "translated"])
async def test_in_another_log_the_split_offset_is_where_its_last_older_record_is(flow, carried):
    """After a fail-over to a mirror, whose offsets are lower, the rest of older events is sent, and no live one is."""
    records = records_at(range(20))
    older_last = RecordFingerprint.of(records[11])
    known = DeliveryProgress(7, 9, RecordFingerprint.of(records[8]), (), 12, older_last)
    mirror = {
        each.offset - 5: SimpleNamespace(**{**vars(each), "offset": each.offset - 5}) for each in records[5:]
    }
    metadata = known.to_offset_and_metadata().metadata
    log = MirrorLog(mirror, OffsetAndMetadata(4, metadata) if carried == "translated" else None)
    live = begun_at(12, older_last) if flow == "older" else None
    start = "earliest" if flow == "older" else "recent"
    backup = known if carried == "backup" else None
    progress = await begin(log, start, live=live, backup=backup, log=mirror)
    assert (progress.offset, progress.live_from, progress.older_last.offset) == (4, 7, 6)


async def test_a_log_without_the_last_older_record_is_divided_at_its_time():
    """The mirror had not received it, or has deleted it."""
    records = records_at(range(20))
    gone = RecordFingerprint.of(records[11])
    mirror = {each.offset: each for each in records if each.offset != 11}
    known = DeliveryProgress(7, 9, RecordFingerprint.of(records[8]), (), 12, gone)
    log = MirrorLog(mirror, OffsetAndMetadata(3, known.to_offset_and_metadata().metadata))
    progress = await begin(log, "earliest", live=begun_at(None), log=mirror)
    assert (progress.live_from, progress.older_last.offset) == (12, 10)


async def test_the_first_start_remembers_the_last_older_record():
    records = {each.offset: each for each in records_at(range(100))}
    progress = await begin(Log(), log=records)
    assert (progress.live_from, progress.older_last) == (60, RecordFingerprint.of(records[59]))


async def test_nothing_beyond_the_end_is_sent_and_the_end_is_committed():
    kafka, destination = FakeGroup(30), FakeSentinel()
    one = handler(kafka, destination, live=begun_at(20))
    await assign(one, kafka)
    await one.records(kafka.poll(15))
    await one.records(kafka.poll(15))
    await wait_until(lambda: kafka.committed_offset == 20)
    assert kafka.paused
    await one.closed()
    assert destination.rows == 20

    await assign(another := handler(kafka, destination, live=begun_at(20)), kafka)
    await another.records(kafka.poll(15))
    await another.closed()
    assert (destination.rows, kafka.committed_offset) == (20, 20)

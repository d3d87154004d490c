"""The record of lost ranges: before any commit, dated later, and followed by every consumer."""

import asyncio
from contextlib import suppress

import pytest

from consumer.losses.loss_log import LossLog
from consumer.losses.store import LossStore, StoredLosses
from consumer.timing import LossTiming
from relay.kafka import KafkaError, TopicPartition
from relay.kafka.producer import TopicWriteError
from tests.support.waiting import wait_until

PARTITION = TopicPartition("audit.events", 3)
QUICK = LossTiming(refresh_seconds=0.01)


class FakeStore:
    """The topic of destinations: `refusal` fails each write, `ranges` is what it holds."""

    def __init__(self):
        self.ranges = {}
        self.refusal = None

    async def read(self, _destination):
        await asyncio.sleep(0)
        return StoredLosses(dict(self.ranges))

    async def write(self, lost):
        if self.refusal is not None:
            raise self.refusal
        self.ranges[lost.key] = lost


@pytest.fixture
def store():
    return FakeStore()


@pytest.fixture
def losses(store):
    return LossLog("soc", store, ["soc", "lake"], QUICK, lambda: 1_795_000_000_000)


async def running(losses, condition):
    task = asyncio.create_task(losses.run())
    try:
        await wait_until(condition)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_loss_is_recorded_and_dated_by_the_first_record_after_it(store, losses):
    await losses.note(PARTITION, (100, 150), 40, 5)
    assert [(each.start, each.collected_from, each.collected_until) for each in store.ranges.values()] == [
        (100, 5, None)
    ]
    losses.record_arrived(TopicPartition("audit.events", 4), 7)
    losses.record_arrived(PARTITION, 9)
    losses.record_arrived(PARTITION, 11)
    await running(losses, lambda: [each.collected_until for each in store.ranges.values()] == [9])
    assert "--lost events/3/100 --archive lake`" in losses.text


async def test_a_record_that_kafka_does_not_confirm_is_tried_again(store, losses):
    """Its caller commits nothing meanwhile, so the next attempt finds the range again."""
    store.refusal = KafkaError("no answer")
    with pytest.raises(KafkaError):
        await losses.note(PARTITION, (100, 150), 40, None)
    store.refusal = None
    await losses.note(PARTITION, (100, 150), 40, None)
    assert len(store.ranges) == 1


async def test_a_record_that_kafka_refuses_holds_up_no_event_and_is_shown(store, losses):
    store.refusal = TopicWriteError("TopicAuthorizationFailed")
    await losses.note(PARTITION, (100, 150), 40, None)
    losses.record_arrived(PARTITION, 9)
    await losses.refresh()
    assert [each.collected_until for each in losses.ranges] == [9]
    assert "offsets 100 to 149" in losses.text


async def test_a_range_that_an_operator_dismissed_is_shown_no_more(store, losses):
    await losses.note(PARTITION, (100, 150), 40, None)
    store.ranges.clear()
    await running(losses, lambda: losses.text is None)


async def test_a_range_of_another_consumer_is_shown(store, losses):
    await LossLog("soc", store).note(PARTITION, (1, 3), 2, None)
    await running(losses, lambda: losses.text is not None)


async def test_a_range_that_is_noted_during_a_read_is_kept(store, losses):
    """The read ended before it."""
    reading = asyncio.create_task(losses.refresh())
    await asyncio.sleep(0)
    held, store.ranges = store.ranges, {}
    await losses.note(PARTITION, (100, 150), 40, None)
    assert held == {}
    await reading
    assert losses.text is not None


class FakeWriter:
    def __init__(self, error=None):
        self.error = error
        self.sent = []

    async def send(self, topic, key, value):
        self.sent.append((topic, key, value))
        if self.error is not None:
            raise self.error
        return 0


async def test_a_write_says_whether_a_later_attempt_may_succeed(losses):
    await losses.note(PARTITION, (100, 150), 40, None)
    (lost,) = losses.ranges
    failed = TopicWriteError("Kafka did not confirm a write.")
    failed.__cause__ = TimeoutError()
    with pytest.raises(KafkaError):
        await LossStore(None, "destinations", FakeWriter(failed)).write(lost)
    with pytest.raises(TopicWriteError):
        await LossStore(None, "destinations", FakeWriter(TopicWriteError("refused"))).write(lost)
    writer = FakeWriter()
    await LossStore(None, "destinations", writer).delete(lost)
    assert writer.sent == [("destinations", b"soc.lost.audit.events.3.100", None)]

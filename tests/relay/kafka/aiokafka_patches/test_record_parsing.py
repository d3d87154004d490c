"""aiokafka's fetcher over batches that are corrupt or malformed in any way."""

import asyncio
from types import SimpleNamespace

import pytest
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import OffsetOutOfRangeError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relay.kafka import TopicPartition
from relay.kafka.aiokafka_patches import fetch_validation
from relay.kafka.aiokafka_patches.fetch_validation import CorruptFetchError, FetchValidator
from tests.support.raw_batches import stored_batch, with_bad_header_name, with_right_checksum

GOOD, BAD = TopicPartition("events", 0), TopicPartition("events", 1)
BEFORE, MIDDLE, AFTER = range(3), range(3, 6), range(6, 9)


def batch_of(offsets, compression=0):
    return stored_batch(offsets[0], [b"%d" % offset for offset in offsets], compression=compression)


class FakeBroker:
    """Two partitions, and a consumer whose fetcher reads them. `batches`: true end and bytes of each batch."""

    def __init__(self, middle, *, reader=False):
        before, after = (BEFORE[-1], batch_of(BEFORE)), (AFTER[-1], batch_of(AFTER))
        self.batches = {
            GOOD: [before, (MIDDLE[-1], batch_of(MIDDLE)), after],
            BAD: [before, (MIDDLE[-1], middle), after],
        }
        self._loop = asyncio.get_running_loop()
        self._metadata_max_age_ms = 1_000
        self.cluster = SimpleNamespace(
            leader_for_partition=lambda _tp: 0, broker_metadata=lambda _node: object()
        )
        self.subscriptions = SubscriptionState()
        self.fetcher = Fetcher(
            self,
            self.subscriptions,
            check_crcs=False,
            auto_offset_reset="earliest" if reader else "none",
            isolation_level="read_committed",
        )
        self.validator = FetchValidator()
        consumer = SimpleNamespace(_client=self, _fetcher=self.fetcher)
        if reader:
            self.validator.attach_to_reader(consumer)
        else:
            self.validator.attach_to_member(consumer)
        self.subscriptions.assign_from_user({GOOD, BAD})
        for tp in (GOOD, BAD):
            self.subscriptions.seek(tp, 0)

    async def send(self, _node, request):
        await asyncio.sleep(0)
        topics = [
            (topic, [self._answer(TopicPartition(topic, number), offset) for number, offset, _ in asked])
            for topic, asked in request.topics
        ]
        if not any(answer[-1] for _, answers in topics for answer in answers):
            await asyncio.sleep(0.002)
        return SimpleNamespace(API_VERSION=11, topics=topics)

    def _answer(self, tp, offset):
        fetched = b"".join(data for last, data in self.batches[tp] if last >= offset)
        return tp.partition, 0, AFTER[-1] + 1, AFTER[-1] + 1, 0, [], -1, fetched

    async def read(self, max_records=None):
        """Read to the end, or to a held batch; return the records' offsets and values, and what is known of that batch."""
        found, held = {GOOD: [], BAD: []}, None
        async with asyncio.timeout(60):
            while not self._at_end(GOOD) or not (held or self._at_end(BAD)):
                try:
                    polled = await self.fetcher.fetched_records([], 0.01, max_records)
                except OffsetOutOfRangeError as error:
                    ((tp, offset),) = error.args[0].items()
                    held = (offset, self.validator.corrupt_batch(tp))
                    assert tp == BAD
                    self.subscriptions._assigned_state(tp).pause()
                    continue
                assert not self.fetcher._fetch_task.done()
                for tp, records in polled.items():
                    found[tp] += [(record.offset, record.value) for record in records]
        return found, held

    def _at_end(self, tp):
        return self.subscriptions._assigned_state(tp).position > AFTER[-1]

    async def resume_at(self, offset):
        self.fetcher.seek_to(BAD, offset)
        self.subscriptions._assigned_state(BAD).resume()


def of(offsets):
    return [(offset, b"%d" % offset) for offset in offsets]


def mutated(batch, changes, *, cut=0, right_checksum=True):
    """Return the batch with some bytes replaced, `cut` bytes removed from its end, and a right checksum."""
    changed = bytearray(batch[: len(batch) - cut])
    for position, byte in changes:
        changed[position % len(changed)] = byte
    if cut:
        changed[8:12] = (len(changed) - 12).to_bytes(4, "big")
    return with_right_checksum(bytes(changed)) if right_checksum else bytes(changed)


def replaced(at, data, compression=0):
    batch = batch_of(MIDDLE, compression)
    return with_right_checksum(batch[:at] + data + batch[at + len(data) :])


KINDS = {
    "header name is not UTF-8": with_bad_header_name(batch_of(MIDDLE)),
    "header name is null": replaced(61 + 8, b"\x01"),
    "unknown codec": replaced(21, b"\x00\x07"),
    "compressed garbage": replaced(21, b"\x00\x04"),
    "gzip garbage": replaced(21, b"\x00\x01"),
    "snappy garbage": replaced(21, b"\x00\x02"),
    "lz4 garbage": replaced(21, b"\x00\x03"),
    "too many records": replaced(57, b"\x7f\xff\xff\xff"),
    "too few records": replaced(57, b"\x00\x00\x00\x01"),
    "negative number of records": replaced(57, b"\xff\xff\xff\xff"),
    "negative last offset": replaced(23, b"\xff\xff\xff\xf0"),
    "last offset beyond the end": replaced(23, b"\x00\xff\xff\xff"),
    "record offset beyond the batch": replaced(61 + 3, b"\x7e"),
    "endless varint": replaced(61, b"\xff" * 12),
    "negative record length": replaced(61, b"\x01"),
    "unknown format": batch_of(MIDDLE)[:16] + b"\x09" + batch_of(MIDDLE)[17:],
    "older format": batch_of(MIDDLE)[:16] + b"\x00" + batch_of(MIDDLE)[17:],
    "length of zero": batch_of(MIDDLE)[:8] + bytes(4) + batch_of(MIDDLE)[12:],
    "negative length": batch_of(MIDDLE)[:8] + b"\xff\xff\xff\xf4" + batch_of(MIDDLE)[12:],
    "length beyond the fetch": batch_of(MIDDLE)[:8] + b"\x00\x0f\xff\xff" + batch_of(MIDDLE)[12:],
}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_batch_of_each_kind_is_held_and_nothing_else(kind):
    broker = FakeBroker(KINDS[kind])
    try:
        found, (offset, corrupt) = await broker.read()
        assert found[GOOD] == of(range(9))
        assert found[BAD][:3] == of(BEFORE)
        assert offset in MIDDLE
        assert offset <= corrupt.last_offset < AFTER[0]
        await broker.resume_at(AFTER[0])
        found, held = await broker.read()
        assert (found[BAD], held) == (of(AFTER), None)
    finally:
        await broker.fetcher.close()


async def test_a_poll_of_a_member_takes_no_further_batch_above_its_bytes(monkeypatch):
    """A batch is taken whole, and the rest is not lost: the next polls take it, also of the other partition."""
    monkeypatch.setattr(fetch_validation, "POLL_BYTES", 2)
    broker, polls = FakeBroker(batch_of(MIDDLE)), []
    poll = broker.fetcher.fetched_records

    async def noted(*options):
        polls.append(await poll(*options))
        return polls[-1]

    monkeypatch.setattr(broker.fetcher, "fetched_records", noted)
    try:
        found, _ = await broker.read()
    finally:
        await broker.fetcher.close()
    assert (found[GOOD], found[BAD]) == (of(range(9)), of(range(9)))
    assert [[len(records) for records in each.values()] for each in polls if each] == [[3]] * 6


@pytest.mark.parametrize("kind", ["header name is not UTF-8", "too many records", "length beyond the fetch"])
async def test_a_reader_outside_of_groups_raises_with_the_place(kind):
    broker = FakeBroker(KINDS[kind], reader=True)
    try:
        with pytest.raises(CorruptFetchError, match=r"events, partition 1, offset [345]: ") as raised:
            await broker.read()
        assert raised.value.tp == BAD
        assert raised.value.offset <= raised.value.batch.last_offset < AFTER[0]
    finally:
        await broker.fetcher.close()


async def test_an_error_that_does_not_repeat_holds_nothing():
    """The first failure reads again; an intact answer then loses nothing."""
    broker = FakeBroker(KINDS["header name is not UTF-8"])
    try:
        note = broker.validator._suspects

        async def heal():
            while not note:
                await asyncio.sleep(0)
            broker.batches[BAD] = broker.batches[GOOD]

        healing = asyncio.create_task(heal())
        found, held = await broker.read()
        await healing
        assert (found[BAD], held) == (of(range(9)), None)
    finally:
        await broker.fetcher.close()


@settings(max_examples=300, deadline=None)
@given(
    compression=st.sampled_from([0, 0, 1, 2, 3, 4]),
    changes=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=6),
    cut=st.integers(0, 40),
    right_checksum=st.booleans(),
    max_records=st.sampled_from([None, 1, 2, 5]),
)
@example(compression=0, changes=[(88, 0)], cut=40, right_checksum=True, max_records=None)
@example(compression=0, changes=[(7, 4)], cut=0, right_checksum=True, max_records=None)
@example(compression=0, changes=[(0, 1), (11, 49)], cut=0, right_checksum=False, max_records=None)
def test_no_batch_ends_the_reading_or_loses_records_of_a_good_one(
    compression, changes, cut, right_checksum, max_records
):
    """Whatever one batch holds: getmany raises nothing else, other partitions are complete, and so are the batches around it."""
    bad = mutated(batch_of(MIDDLE, compression), changes, cut=cut, right_checksum=right_checksum)

    async def run():
        broker = FakeBroker(bad)
        try:
            found, held = await broker.read(max_records)
            assert found[GOOD] == of(range(9))
            assert found[BAD][:3] == of(BEFORE)
            if held is not None:
                offset, corrupt = held
                assert BEFORE[-1] < offset <= corrupt.last_offset < AFTER[0]
                await broker.resume_at(AFTER[0])
                more, held = await broker.read(max_records)
                assert held is None
                found[BAD] += more[BAD]
            assert found[BAD][-3:] == of(AFTER)
            assert len({offset for offset, _ in found[BAD]}) == len(found[BAD])
        finally:
            await broker.fetcher.close()

    asyncio.run(run())

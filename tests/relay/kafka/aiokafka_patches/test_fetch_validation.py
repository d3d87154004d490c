from types import SimpleNamespace

import pytest
from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from relay.kafka import TopicPartition
from relay.kafka.aiokafka_patches.fetch_validation import FetchValidator, parse_batches

A = TopicPartition("events", 0)


def batch(first, count=1, epoch=3):
    """Return a batch as a broker stores it."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=10_000,
    )
    for number in range(count):
        builder.append(number, timestamp=1, key=None, value=b"value", headers=[])
    built = bytearray(builder.build())
    built[:8] = first.to_bytes(8, "big")
    built[12:16] = epoch.to_bytes(4, "big")
    return bytes(built)


def corrupted(batch):
    return batch[:-3] + bytes([batch[-3] ^ 1]) + batch[-2:]


class FakeBroker:
    """A client and the broker behind it, which answers with the given response."""

    def __init__(self):
        self.fetched = b""
        self.validator = FetchValidator()
        self.validator.attach(SimpleNamespace(_client=self))

    async def send(self, _node, _request):
        return SimpleNamespace(topics=[("events", [(0, 0, 99, 99, [], self.fetched)])])

    async def fetch(self, offset, *batches):
        self.fetched = b"".join(batches)
        request = FetchRequest(1, 1, 1, 1, [("events", [(0, offset, 1_000)])])
        ((_, ((partition, error, *_, fetched),)),) = (await self.send(1, request)).topics
        assert partition == 0
        return error or fetched


def test_batches_are_parsed_one_by_one():
    fetched = batch(5, 3) + corrupted(batch(8, 2, epoch=4)) + batch(10)[:-1]
    found = [
        (one.base_offset, one.last_offset, one.epoch, one.start, one.intact) for one in parse_batches(fetched)
    ]
    assert found == [(5, 7, 3, 0, True), (8, 9, 4, len(batch(5, 3)), False)]
    old = bytearray(batch(5))
    old[16] = 1
    assert list(parse_batches(bytes(old))) == list(parse_batches(b"")) == []
    shrunk = bytearray(batch(5))
    shrunk[8:12] = bytes(4)
    assert list(parse_batches(bytes(shrunk))) == []


async def test_intact_batches_pass():
    broker = FakeBroker()
    stored_batches = batch(0, 3), batch(3), batch(4)[:20]
    assert await broker.fetch(0, *stored_batches) == b"".join(stored_batches)
    assert broker.validator.corrupt_batch(A) is None


async def test_batches_before_a_corrupt_one_pass_and_then_it_is_reported():
    broker = FakeBroker()
    assert await broker.fetch(0, batch(0), corrupted(batch(1, 2)), batch(3)) == batch(0)
    assert broker.validator.corrupt_batch(A) is None
    assert await broker.fetch(1, corrupted(batch(1, 2)), batch(3)) == OffsetOutOfRangeError.errno
    corrupt = broker.validator.corrupt_batch(A)
    assert (corrupt.base_offset, corrupt.last_offset) == (1, 2)
    assert broker.validator.corrupt_batch(A) is None
    assert await broker.fetch(1, batch(1, 2), batch(3)) == batch(1, 2) + batch(3)


@pytest.mark.parametrize("between", [0, 1])
async def test_a_batch_of_another_leader_fails_until_forget(between):
    broker = FakeBroker()
    await broker.fetch(0, batch(0))
    await broker.fetch(1, *[batch(1)] * between)
    offset = 1 + between
    for _ in range(2):
        assert await broker.fetch(offset, batch(offset, epoch=5)) == OffsetOutOfRangeError.errno
    assert broker.validator.corrupt_batch(A) is None
    broker.validator.forget(A)
    assert await broker.fetch(offset, batch(offset, epoch=5)) == batch(offset, epoch=5)


async def test_an_error_of_the_broker_is_unchanged():
    broker = FakeBroker()

    async def failing(_node, _request):
        return SimpleNamespace(topics=[("events", [(0, 6, 0, 0, [], None)])])

    broker.send = failing
    broker.validator.attach(SimpleNamespace(_client=broker))
    assert await broker.fetch(0) == 6

"""What a move writes to a group whose brokers accept little metadata."""

import pytest

from consumer.offsets.delivered import DeliveredRange, DeliveryProgress, RecordFingerprint
from management.offset_commits import set_offsets
from management.offset_moves import OffsetMove
from relay.kafka import OffsetMetadataTooLargeError, TopicPartition

SHORT, LONG = TopicPartition("t", 0), TopicPartition("t", 1)


class Brokers:
    """Set the offsets whose metadata is short enough, and refuse the others, as Kafka does."""

    def __init__(self, max_bytes):
        self.max_bytes = max_bytes
        self.committed = {}

    async def commit(self, offsets):
        short = {tp: each for tp, each in offsets.items() if len(each.metadata.encode()) <= self.max_bytes}
        self.committed |= short
        if len(short) < len(offsets):
            raise OffsetMetadataTooLargeError


def move(partition, offset, ranges=0):
    last = RecordFingerprint(offset - 1, 2**32 - 1, 1_700_000_000_000)
    after = DeliveryProgress(7, offset, last, (), offset, last).with_ranges(
        DeliveredRange(first, RecordFingerprint(first, 1, 1_700_000_000_000))
        for first in range(offset + 1, offset + 1 + 2 * ranges, 2)
    )
    return OffsetMove(partition, DeliveryProgress.starting_at(0), after)


@pytest.mark.parametrize("max_bytes", [4096, 200, 60, 20, 0])
async def test_every_partition_gets_its_offset_however_little_metadata_the_brokers_accept(max_bytes):
    """A partition with little metadata is not left moved while another one is refused."""
    brokers = Brokers(max_bytes)
    moves = [move(SHORT, 10), move(LONG, 1000, ranges=50)]
    await set_offsets(brokers, moves)
    assert {tp: each.offset for tp, each in brokers.committed.items()} == {SHORT: 10, LONG: 1000}
    read = DeliveryProgress.from_offset_and_metadata(1000, brokers.committed[LONG].metadata)
    assert (read.delivered_ahead == moves[1].after.delivered_ahead) == (max_bytes == 4096)
    assert (read.live_from == 1000) == (max_bytes >= 20)


async def test_brokers_that_refuse_even_an_empty_text_are_an_error():
    with pytest.raises(OffsetMetadataTooLargeError):
        await set_offsets(Brokers(-1), [move(SHORT, 10)])

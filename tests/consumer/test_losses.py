"""What Kafka deletes or forgets beneath a consumer."""

import asyncio

from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import CorruptRecordException

from tests.consumer.world import some_events, uid, uids, until, world


async def test_a_read_that_fails_in_the_middle_passes_over_nothing(kafka, prefix, monkeypatch):
    """aiokafka drops what it took of other partitions with the error, and has moved their positions on all the same."""
    taken, unpack = set(), PartitionRecords._unpack_records
    broken = []

    def damaged(self):
        for count, record in enumerate(unpack(self)):
            if not broken and count > 3 and taken - {self._tp}:
                broken.append(self._tp)
                raise CorruptRecordException("made up")
            taken.add(self._tp)
            asyncio.get_running_loop().call_soon(
                taken.discard, self._tp
            )  # it is given out with what comes next
            yield record

    monkeypatch.setattr(PartitionRecords, "_unpack_records", damaged)
    async with world(kafka, prefix, monkeypatch) as there:
        await there.publish(some_events(90))
        async with there.consuming():
            await until(lambda: broken)
            await there.arrive()
        assert uids(there.azure) == sorted(map(uid, there.published))

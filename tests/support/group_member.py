import asyncio
import contextlib

from relay.kafka.consumer_group import Member
from relay.kafka.producer import Writer
from relay.kafka.topics import Topics
from tests.support.waiting import until

SESSION = 6


class Notes:
    """A handler that reads every partition from its start and remembers all it was told."""

    def __init__(self):
        self.assignments = []
        self.values = []
        self.closings = 0
        self.positions = None
        self.trip = None

    def assigned(self, positions, partitions):
        self.positions = positions
        for tp in partitions:
            positions.seek(tp, 0)
        self.assignments.append(partitions)
        self._stumble("assigned")

    async def revoked(self, _partitions):
        self._stumble("revoked")

    async def records(self, batches):
        self.values += [record.value for records in batches.values() for record in records]
        self._stumble("records")

    async def out_of_range(self, offsets):
        raise AssertionError(offsets)

    async def closed(self):
        self.closings += 1

    def _stumble(self, where):
        if self.trip is not None and self.trip[0] == where:
            _, error, self.trip = *self.trip, None
            raise error

    @property
    def consumer(self):
        return self.positions._consumer


@contextlib.asynccontextmanager
async def membership(there, notes, group, kind=Member):
    topic = Topics(there.kafka.topic_prefix).organizations
    member = kind(there, group, topic, notes, offset_reset="earliest")
    task = asyncio.create_task(member.run())
    try:
        await until(lambda: notes.assignments)
        yield member
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=15)


async def put(there, prefix, value):
    async with Writer(there) as writer:
        await writer.send(Topics(prefix).organizations, b"acme", value, partition=0)

import asyncio
import contextlib

from relay.kafka.consumer_group import Member
from relay.kafka.producer import RecordWriter
from relay.kafka.topics import Topics
from tests.support.waiting import wait_until

SESSION = 6


class RecordingHandler:
    """A handler that reads every partition from its start and records each call."""

    def __init__(self):
        self.assignments = []
        self.values = []
        self.closings = 0
        self.positions = None
        self.fail_next = None

    def assigned(self, positions, partitions):
        self.positions = positions
        for tp in partitions:
            positions.seek(tp, 0)
        self.assignments.append(partitions)
        self._fail_if_due("assigned")

    async def revoked(self, _partitions):
        self._fail_if_due("revoked")

    async def records(self, batches):
        self.values += [record.value for records in batches.values() for record in records]
        self._fail_if_due("records")

    async def out_of_range(self, offsets):
        raise AssertionError(offsets)

    async def closed(self):
        self.closings += 1

    def _fail_if_due(self, callback):
        if self.fail_next is not None and self.fail_next[0] == callback:
            _, error, self.fail_next = *self.fail_next, None
            raise error

    @property
    def consumer(self):
        return self.positions._consumer


@contextlib.asynccontextmanager
async def running_member(connection, handler, group, kind=Member):
    topic = Topics(connection.kafka.topic_prefix).organizations
    member = kind(connection, group, topic, handler, offset_reset="earliest")
    task = asyncio.create_task(member.run())
    try:
        await wait_until(lambda: handler.assignments)
        yield member
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=15)


async def write_organization(connection, prefix, value):
    async with RecordWriter(connection) as writer:
        await writer.send(Topics(prefix).organizations, b"acme", value, partition=0)

"""The backup of the offsets when the report on a destination changes its owner."""

from dataclasses import replace
from types import SimpleNamespace

from consumer.timing import ReporterTiming
from relay.status.model import GroupOffset
from tests.consumer.test_status_reporter import make_reporter, running_pipeline


async def test_an_owner_that_returns_does_not_write_the_offsets_of_its_first_time():
    """Another process has delivered meanwhile, and Kafka does not answer the first look at the group."""
    pipeline = running_pipeline("live")
    reporter, last_status = make_reporter([pipeline], timing=ReporterTiming(offsets_seconds=0))
    owned = pipeline.handler.partitions
    await reporter.publish()
    assert [each.offset for each in last_status().offsets] == [0]

    pipeline.handler.partitions = []
    await reporter.publish()

    async def of_the_other_process(_key, **_):
        return replace(last_status(), offsets=(GroupOffset("live", 0, 500),))

    async def silent(_partitions):
        raise TimeoutError

    reporter._status_cache = SimpleNamespace(to_continue=of_the_other_process)
    pipeline.handler.partitions = owned
    pipeline.handler.progress_and_ends = silent
    await reporter.publish()
    assert [each.offset for each in last_status().offsets] == [500]

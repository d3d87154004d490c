"""What a source brings to the suite, and its source opened for one check."""

import json
from contextlib import aclosing
from typing import Protocol

import pytest

from producer.sources.catalogue import SOURCES, ProducerSettings
from producer.sources.contract import ConnectionTest, InputRules, SourceSetup
from producer.sources.errors import ErrorKind, RetryAction, SourceError
from producer.sources.throttle import RequestSlots
from producer.state.intervals import TimeRange
from relay.timestamps import now_ms
from tests.contracts.lines.source import LINES
from tests.support.jira import StubCredentials, backoff

TABLE = {**SOURCES, "lines": LINES}
"""The sources of the relay and the invented one, which needs this line and its folder."""

SECOND = 1_000


class SourceWorld(Protocol):
    """One organization's log in a simulator."""

    several_results: int
    """So many records in a second make `read` yield more than one result."""
    too_many_of_one_ms: int | None
    """So many records of one millisecond cannot all be listed for certain. None: any number can."""
    faults: dict[str, tuple[ErrorKind, RetryAction]]
    """Faults that the world can play, and how the source names them."""
    config: ProducerSettings
    credentials: StubCredentials
    key: str
    has_http: bool
    has_clock: bool
    has_identity: bool
    empty_proves_nothing: bool

    def organization(self, **fields): ...

    def add(self, created, count=1): ...  # records, as JSON values, of one millisecond

    def add_odd_records(self, created): ...  # records that use every corner of the API's format

    def as_restored(self, record): ...  # the record without differences that carry no meaning

    def small_pages(self): ...  # where the API can be made to give fewer records than asked for

    def after_requests(self, count, action): ...

    def fault(self, name, **options): ...  # options: times=1, skip=0

    def delete_newest(self, count): ...  # of the records that the API shows. None: the API deletes nothing

    def hang(self, skip): ...  # the request after `skip` others never ends

    def set_clock(self, ahead_seconds): ...

    def reject_key(self): ...  # the API gives empty answers, as to nobody


def setup(world, on_request_ended):
    """Short waits, and one slot for all, so that a slot that is not given back is missed at once."""
    timing = backoff(0.05, page_pause_seconds=0.0, key_check_seconds=0.02)
    slots = RequestSlots(1, 1, on_request_ended)
    return SourceSetup(world.config, world.credentials, now_ms, slots, timing)


class OpenedWorld:
    """A world with its source, opened by the catalogue as the producer opens it."""

    def __init__(
        self,
        world,
        setup,
        factory,
        connection_test: ConnectionTest,
        input_rules: InputRules,
        ended: list[bool],
    ):
        self.ended = ended
        """Whether each request that was made has succeeded."""
        self.world = world
        self.input_rules = input_rules
        self.connection_test = connection_test
        self.slots = setup.slots
        self.factory = factory
        self.now = now_ms() // 1_000 * 1_000
        self.window = TimeRange(self.now - 60 * SECOND, self.now - 50 * SECOND)

    @property
    def source(self):
        return self.factory.source_for(self.world.organization())

    async def read(self, window=None, **options):
        """All results of a window."""
        return await self.read_from(self.source, window, **options)

    async def read_from(self, source, window=None, **options):
        async with aclosing(source.read(window or self.window, **options)) as found:
            return [result async for result in found]

    async def events(self, window=None, **options):
        return [event for result in await self.read(window, **options) for event in result.events]

    async def error(self, call):
        """The SourceError that a call raises."""
        with pytest.raises(SourceError) as raised:
            await call
        return raised.value


def restored(opened, events):
    """Records by their text, as they come back from events."""
    found = [json.loads(opened.source.restore(event)) for event in events]
    return sorted(json.dumps(record, sort_keys=True) for record in found)


def expected(opened, records):
    return sorted(json.dumps(opened.world.as_restored(record), sort_keys=True) for record in records)

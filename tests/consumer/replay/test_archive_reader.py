"""An archive gives back the records of a partition: each once, in order, with equal rows."""

import asyncio
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from consumer.decoding.columns import decode
from consumer.destinations.sentinel.rows import encode_rows as sentinel_rows
from consumer.formats.native import native_row
from consumer.formats.ocsf import ocsf_row, with_ocsf_columns
from relay.schema_registry.fingerprints import released_schemas
from tests.support.archives import PARTITION, archive, archive_over, flows_over, lake, read, write
from tests.support.ecs_documents import ecs_documents
from tests.support.messages import WRITER_SCHEMAS, event_records, message
from tests.support.metered_store import MeteredStore
from tests.support.object_stores import NOON, opened

ROUTES = {"acme.atlassian.net": "organization=acme", "other.atlassian.net": "own/other"}
DAY_MS = 86_400_000
HUGE = "😀 " + "x" * 300_000


@st.composite
def partitions(draw):
    """Odd events at offsets with holes, as the schema allows them: some have a route, and some are collected out of order."""
    steps = draw(st.lists(st.integers(1, 3), min_size=1, max_size=12))
    odd = draw(st.lists(event_records, min_size=len(steps), max_size=len(steps)))
    offsets = [sum(steps[: index + 1]) for index in range(len(steps))]
    times = draw(st.lists(st.integers(0, 2), min_size=len(steps), max_size=len(steps)))
    names = st.sampled_from([None, None, "acme.atlassian.net", "other.atlassian.net"])
    times = times if draw(st.booleans()) else sorted(times)
    return {
        offset: {
            **each,
            **({"organization": name} if (name := draw(names)) else {}),
            **({"collected": NOON + day * DAY_MS} if draw(st.booleans()) else {}),
            **({"unmodeled": HUGE} if draw(st.integers(0, 9)) == 0 else {}),
        }
        for offset, each, day in zip(offsets, odd, times, strict=True)
    }


def frame(records, schemas):
    decoded = decode(records, schemas)
    assert not decoded.undecodable
    return decoded.frame


def check_equal_rows(original, restored):
    """Compare the columns, and the rows of some formats byte for byte."""
    assert_frame_equal(original, restored)
    assert list(sentinel_rows(original)) == list(sentinel_rows(restored))
    assert ecs_documents(original).to_list() == ecs_documents(restored).to_list()
    ocsf = [with_ocsf_columns(each).select(ocsf_row()).to_series().to_list() for each in (original, restored)]
    assert ocsf[0] == ocsf[1]
    native = [each.select(native_row()).to_series().to_list() for each in (original, restored)]
    assert native[0] == native[1]


def check_records(chunks, events, start, end):
    """Compare a range with the events that the partition has in it."""
    expected = {offset: each for offset, each in events.items() if start <= offset < end}
    records = [record for chunk in chunks for record in chunk.records]
    assert [record.offset for record in records] == list(expected)
    assert {(record.topic, record.partition) for record in records} <= {tuple(PARTITION)}
    originals = [message(each, offset=offset) for offset, each in expected.items()]
    assert [(each.key, each.timestamp, each.timestamp_type) for each in records] == [
        (each.key, each.timestamp, each.timestamp_type) for each in originals
    ]
    if records:
        check_equal_rows(frame(originals, WRITER_SCHEMAS), frame(records, released_schemas()))
    positions = [chunk.next_offset for chunk in chunks]
    assert positions == sorted(positions)
    assert positions[-1] == end


async def deliver(flows, events, split, data):
    """Deliver a partition as two processes do: bodies of any size, a route at a time, and some of them twice."""
    chains = {}
    for offset, each in events.items():
        flow = "history" if offset < split else "live"
        chains.setdefault((flow, ROUTES.get(each["organization"])), {})[offset] = each
    for (flow, route), of_chain in chains.items():
        done = 0
        while done < len(of_chain):
            size = data.draw(st.integers(1, 6), label="rows of a body")
            part = dict(list(of_chain.items())[done : done + size])
            for process in data.draw(st.sampled_from([(0,), (0, 1)]), label="processes"):
                await write(flows[process][flow], part, route=route)
            done += data.draw(st.integers(1, size), label="behind")


@pytest.mark.parametrize("place", ["directory", "memory"])
@settings(max_examples=15, deadline=None)
@given(events=partitions(), data=st.data())
def test_the_records_of_any_history_come_back_with_equal_rows(place, events, data):
    """Odd events, routes, older events in history, objects that overlap, and any range of the offsets."""
    last = max(events)
    start = data.draw(st.integers(0, last), label="start")
    end = data.draw(st.integers(start + 1, last + 3), label="end")
    split = data.draw(st.integers(0, last), label="split offset")

    async def play():
        if place == "memory":  # no file is synchronized
            store = MeteredStore()
            one, two = (flows_over(store, by_organization=ROUTES) for _ in range(2))
            await deliver((one, two), events, split, data)
            return await read(archive_over(store, last + 3), start, end)
        with tempfile.TemporaryDirectory() as directory:
            url = f"file://{directory}"
            async with opened(url, by_organization=ROUTES) as one, opened(url, by_organization=ROUTES) as two:
                await deliver((one, two), events, split, data)
            async with archive(lake(url, by_organization=ROUTES), delivered=last + 3) as reader:
                return await read(reader, start, end)

    check_records(asyncio.run(play()), events, start, end)

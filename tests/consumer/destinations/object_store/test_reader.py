"""An object that exists is read in parts: the columns that are asked for, and over several attempts where the link is slow."""

import asyncio
import io
from dataclasses import dataclass, field

import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.decoding.columns import decode
from consumer.destinations.object_store import rows
from consumer.destinations.object_store.layout import OCSF, PLAIN
from consumer.destinations.object_store.parquet_footer import END_BYTES, column_ranges, footer_bytes
from consumer.destinations.object_store.reader import ObjectReader
from consumer.destinations.object_store.store import StoreFault
from consumer.destinations.outcome import Paused, Retry, Sent
from tests.support.messages import WRITER_SCHEMAS, event, message
from tests.support.object_stores import body, bucket_flows
from tests.support.scripted_store import part_of

FORMATS = {"native": PLAIN, "ocsf": OCSF}
EVENTS = [event(number, description=f"{number} " * 200) for number in range(400)]


def written(format_, events=tuple(EVENTS)):
    frame = decode([message(each) for each in events], WRITER_SCHEMAS).frame
    content = rows.encode_body(rows.encode_rows(frame))
    return rows.encode_object(rows.read_body(content, range(len(events))), "events", 0, format_)


OBJECTS = {name: written(format_) for name, format_ in FORMATS.items()}


@dataclass
class SlowStore:
    """One object; each request that the faults name fails after it was counted."""

    content: bytes | None
    fails: list[bool] = field(default_factory=list)
    moved: int = 0

    async def read(self, _key, start, stop):
        if self.fails and self.fails.pop():
            raise StoreFault(Retry("a lost connection"))
        found = part_of(self.content, start, stop)
        self.moved += len(found.content) if found else 0
        return found


async def read_all(reader, columns, most=1_000):
    """Read as the attempts of a body do."""
    for _ in range(most):
        try:
            return await reader.read("key", columns)
        except StoreFault:
            continue
    raise AssertionError("no progress")


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_the_columns_are_those_of_the_object(name, data):
    """With requests of any size and any of them lost; no part is moved twice, apart from the first one."""
    format_, content = FORMATS[name], OBJECTS[name]
    first = data.draw(st.integers(8, 2 * len(content)), label="bytes of the first request")
    part = data.draw(st.integers(200, len(content)), label="bytes of a request")
    fails = data.draw(st.lists(st.booleans(), max_size=40), label="requests that fail")
    store = SlowStore(content, list(fails))
    found = asyncio.run(read_all(ObjectReader(store, first, part), set(format_.key_columns)))
    stored = rows.read_object(found, "events", 0, 0, format_)
    assert stored.rows.equals(rows.read_object(content, "events", 0, 0, format_).rows)
    assert store.moved <= len(content) + (sum(fails) + 1) * min(first, len(content))


@pytest.mark.parametrize("name", FORMATS)
def test_the_ranges_are_those_that_another_library_reads(name):
    """Dictionary and pages of each column, whatever the number of row groups."""
    content = OBJECTS[name]
    size = footer_bytes(content[-END_BYTES:])
    columns = set(FORMATS[name].key_columns)
    metadata = pyarrow.parquet.read_metadata(io.BytesIO(content))
    group = metadata.row_group(0)
    chunks = [group.column(index) for index in range(group.num_columns)]
    expected = [
        (start := min(each.data_page_offset, each.dictionary_page_offset or each.data_page_offset),
         start + each.total_compressed_size)
        for each in chunks
        if each.path_in_schema.partition(".")[0] in columns
    ]  # fmt: skip
    assert list(column_ranges(content[-size:-END_BYTES], columns)) == expected
    assert sum(stop - start for start, stop in expected) < len(content) / 2


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 4_000), st.integers(0, 255), st.integers(0, 4_000))
def test_a_corrupt_footer_is_a_value_error_or_other_ranges(place, byte, cut):
    """No other exception, and no end without limit."""
    content = OBJECTS["native"]
    footer = bytearray(content[-footer_bytes(content[-END_BYTES:]) : -END_BYTES])
    footer[place % len(footer)] = byte
    for each in (footer, footer[: cut % len(footer)]):
        try:
            ranges = list(column_ranges(bytes(each), {"uid"}))
        except ValueError:
            continue
        assert all(isinstance(start, int) and isinstance(stop, int) for start, stop in ranges)


async def test_two_flows_that_read_at_a_time_both_get_on():
    """History and older events share the writer; each attempt has the time of three requests."""
    store = SlowStore(OBJECTS["native"])
    reader, left = ObjectReader(store, 1_000, 1_000), ["one", "two"]
    for _ in range(100):
        for key in tuple(left):
            store.fails = [True, False, False, False]
            try:
                found = await reader.read(key, {"uid", "kafka_offset"})
            except StoreFault:
                continue
            assert rows.read_object(found, "events", 0, 0).last == len(EVENTS) - 1
            left.remove(key)
    assert left == []


def test_a_path_that_is_no_text_is_another_column():
    """A flipped byte made the path of a column a list of lists, which has no hash."""
    assert list(column_ranges(bytes.fromhex("491c191c3c39190300000000"), {"uid"})) == []


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"x" * 200_000, b"\xff" * 70_000 + b"\xff\xff\xff\x7fPAR1"]
)
async def test_an_object_of_another_program_is_read_to_its_ends_alone(content):
    store = SlowStore(content)
    found = await ObjectReader(store).read("key", {"uid"})
    with pytest.raises(rows.ForeignObjectError, match="not a Parquet file"):
        rows.read_object(found, "events", 0, 0)
    assert store.moved <= 2 * 64 * 1024


async def test_an_object_that_is_gone_or_another_one_is_none():
    """An operator moved it away between two requests."""
    store = SlowStore(OBJECTS["native"])
    reader = ObjectReader(store, 100, 100)
    whole, reads = store.read, iter(range(100))

    async def read(*place):
        if next(reads) == 3:
            store.content = b"other"
        return await whole(*place)

    store.read = read
    assert await reader.read("key", {"uid"}) is None
    store.content = None
    assert await reader.read("key", {"uid"}) is None


async def test_an_empty_object_is_another_programs(tmp_path):
    """A store answers 416 to any range of it."""
    async with bucket_flows(tmp_path) as (bucket, flows):
        await flows["live"].probe()
        bucket.objects["jira/live/day=2025-11-22/events-00000-00000000000000000007.parquet"] = b""
        outcome = await flows["live"].send(body(flows["live"], [7]))
        assert isinstance(outcome, Paused)
        assert "not a Parquet file of the relay" in outcome.reason


async def test_a_process_that_begins_anew_reads_a_part_of_the_object(tmp_path):
    async with bucket_flows(tmp_path) as (bucket, flows):
        long = {"description": "".join(map(chr, range(300, 20_000)))}
        assert await flows["live"].send(body(flows["live"], range(9), **long)) == Sent()
        (before,) = (content for key, content in bucket.objects.items() if key.endswith(".parquet"))
        assert len(before) > 20_000
    store = SlowStore(before)
    found = await ObjectReader(store, 4_096, 1_000).read("key", set(PLAIN.key_columns))
    assert rows.read_object(found, "events", 0, 0).last == 8
    assert store.moved < len(before) / 2

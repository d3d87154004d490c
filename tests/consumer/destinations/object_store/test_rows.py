"""Rows become Parquet that other libraries read back, field by field."""

import gc
import io
import os
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from polars.exceptions import PanicException

from consumer.decoding.columns import decode
from consumer.decoding.event_schema import EVENT_COLUMNS
from consumer.destinations.object_store import rows
from consumer.destinations.object_store.layout import OFFSET
from consumer.formats.column_rows import ColumnRows, join_rows
from consumer.formats.encoded_rows import EncodedRows
from tests.support.messages import WRITER_SCHEMAS, event, event_lists, message

PLACE = ("events", 3)


def frame(events):
    return decode([message(each) for each in events], WRITER_SCHEMAS).frame


def stored(events, first=100):
    """The object of these events, by the way of a body."""
    body = rows.encode_body(rows.encode_rows(frame(events)))
    return rows.encode_object(rows.read_body(body, range(first, first + len(events))), *PLACE)


def expected(each, offset):
    """The row of an event, by plain Python."""
    variant = f"/{each['variant']}" if each.get("variant") is not None else ""
    row = {name: each.get(name) for name in EVENT_COLUMNS}
    return {
        "uid": f"{each['organization']}/{each['id']}{variant}",
        **row,
        "kafka_offset": offset,
        "replay_id": None,
    }


def numbers(table):
    """Rows with times as ms: Python has no datetime for each of them."""
    fields = {
        name: table[name].cast("int64") if name in {"created", "collected"} else table[name]
        for name in table.column_names
    }
    return pyarrow.table(fields).to_pylist()


@settings(max_examples=60, deadline=None)
@given(event_lists)
def test_pyarrow_reads_every_field_back(events):
    table = pyarrow.parquet.read_table(io.BytesIO(stored(events)))
    assert numbers(table) == [expected(each, 100 + index) for index, each in enumerate(events)]


FULL = event(
    7,
    created=1_700_000_000_123,
    objectItem={"id": "1", "name": 'a"b\\c\u2028', "typeName": "USER", "parentId": None, "parentName": "p"},
    changedValues=[{"fieldName": "f", "changedFrom": None, "changedTo": "\x00\x1f"}],
    associatedItems=[],
    variant="0123456789abcdef",
)


def test_duckdb_reads_nested_fields_and_days(tmp_path):
    """Hive folders become a column, and structs and lists are typed."""
    folder = tmp_path / "live/day=2023-11-14"
    folder.mkdir(parents=True)
    (folder / "events-00003-00000000000000000100.parquet").write_bytes(stored([FULL, event(8)]))
    objects = duckdb.read_parquet(f"{tmp_path}/live/day=*/*.parquet", hive_partitioning=True)
    found = objects.order("kafka_offset").project(
        "day, uid, epoch_ms(created), objectItem.name, changedValues[1].changedTo, len(associatedItems), objectItem IS NULL,"
        " kafka_offset"
    )
    found = found.fetchall()
    assert [str(found[0][0]), *found[0][1:]] == [
        "2023-11-14",
        "acme.atlassian.net/7/0123456789abcdef",
        1_700_000_000_123,
        'a"b\\c\u2028',
        "\x00\x1f",
        0,
        False,
        100,
    ]
    assert (found[1][6], found[1][7]) == (True, 101)


def test_the_footer_names_the_origin():
    footer = pyarrow.parquet.read_metadata(io.BytesIO(stored([event(1), event(2)]))).metadata
    assert {key.decode(): value.decode() for key, value in footer.items() if key.startswith(b"relay.")} == {
        "relay.format": "plain-1",
        "relay.topic": "events",
        "relay.partition": "3",
        "relay.first": "100",
        "relay.last": "101",
    }


def test_an_object_is_read_back():
    read = rows.read_object(stored([event(1), event(2)]), *PLACE, 100)
    assert (read.last, read.rows["uid"].to_list()) == (101, ["acme.atlassian.net/1", "acme.atlassian.net/2"])


def of_another_program(*, uid="x", **footer):
    content = io.BytesIO()
    pl.DataFrame({"uid": [uid], OFFSET: [100]}).write_parquet(content, metadata=footer)
    return content.getvalue()


OURS = {"relay.format": "plain-1", "relay.topic": "events", "relay.partition": "3", "relay.first": "100"}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not a Parquet file"),
        (b"PAR1 and nothing else", "not a Parquet file"),
        (stored([event(1)])[:-3], "not a Parquet file"),
        (of_another_program(), "no topic of the relay"),
        (of_another_program(**OURS | {"relay.topic": "other"}), "other, partition 3, offset 100"),
        (of_another_program(**OURS | {"relay.format": "plain-2"}), "layout plain-2"),
        (of_another_program(**OURS), "its rows are not those"),
        (of_another_program(**OURS | {"relay.last": "101"}), "its rows are not those"),
        (of_another_program(uid=7, **OURS | {"relay.last": "100"}), "its rows are not those"),
        (stored([event(1)], first=99), "offset 99"),
    ],
)
def test_an_object_of_another_program_is_named(content, why):
    with pytest.raises(rows.ForeignObjectError, match=why):
        rows.read_object(content, *PLACE, 100)


def test_a_corrupt_object_that_makes_polars_panic_is_named(monkeypatch):
    """One flipped byte in a thousand objects does; the panic is no Exception."""

    def panicking(*_, **__):
        raise PanicException("range end index 314095 out of range")

    monkeypatch.setattr(rows.pl, "read_parquet", panicking)
    with pytest.raises(rows.ForeignObjectError, match="not a Parquet file"):
        rows.read_object(stored([event(1)]), *PLACE, 100)


def test_an_object_of_another_log_is_named():
    """Offsets begin again when a topic is made anew."""
    read = rows.read_object(stored([event(1), event(2)]), *PLACE, 100)
    ours = rows.read_body(rows.encode_body(rows.encode_rows(frame([event(1), event(2)]))), (100, 101))
    rows.check_same_log(read, ours)
    others = rows.read_body(rows.encode_body(rows.encode_rows(frame([event(1), event(3)]))), (100, 101))
    with pytest.raises(rows.ForeignObjectError, match="another event at offset 101"):
        rows.check_same_log(read, others)


def test_the_rows_of_a_day_are_together():
    """In their order and with their places, and the day of the first row is first; wild days are the first or the last one."""
    late = int(datetime(2026, 11, 22, 23, 59, 59, 999_000, tzinfo=UTC).timestamp() * 1000)
    times = (late, late, late + 1, late - 1, -1, 2**62, 0, -(2**62), 2**61)
    events = frame([event(number, created=created) for number, created in enumerate(times)])
    found = {day: part[rows.PLACE].to_list() for day, part in rows.by_day(events, "created")}
    day = late // 86_400_000
    assert found == {day: [0, 1, 3], day + 1: [2], 0: [4, 6, 7], 2_932_896: [5, 8]}
    assert next(iter(found)) == day
    assert [part.height for _, part in rows.by_day(events.head(2), "created")] == [2]


def test_column_rows_divide_and_join_as_encoded_rows_do():
    """Sizes of parts add up, and the rows keep their order."""
    whole = rows.encode_rows(frame([event(number, summary="x" * number) for number in range(10)]))
    parts = [whole[:3], whole[3:3], whole.select([3, 5]), whole.select([6, 7, 8])]
    joined = join_rows(parts, b"\n")
    assert joined.size == sum(part.size for part in parts)
    assert list(joined) == [list(whole)[index] for index in (0, 1, 2, 3, 5, 6, 7, 8)]
    assert (joined.longest, whole[:0].longest, whole[:0].size, len(whole[4:2])) == (whole.longest, 0, 0, 0)
    assert [whole.count_within(size) for size in (-1, 0, whole.longest, whole.size)] == [0, 0, 1, 10]
    assert len(join_rows([whole[:0], EncodedRows()], b"\n")) == 0
    assert join_rows([EncodedRows.of([b"a"], b","), EncodedRows.of([b"b"], b",")], b",").size == 3
    assert isinstance(join_rows([EncodedRows(), whole], b""), ColumnRows)


def test_a_few_rows_do_not_keep_the_frame_they_came_from():
    """Rows of a quiet partition wait for minutes, while those of busy ones come and go; a copy has equal rows."""
    one = frame([event(number, summary=1_000 * "x", associatedItems=[]) for number in range(1_000)])

    def held():
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def a_few():
        return rows.encode_rows(one.with_columns(pl.col("summary") + "y"))[10:20]

    kept = [a_few() for _ in range(20)]
    before = held()
    kept += [a_few() for _ in range(200)]
    assert held() - before < 60_000_000  # their frames have 200 MB
    assert list(kept[0]) == list(rows.encode_rows(one.with_columns(pl.col("summary") + "y")))[10:20]

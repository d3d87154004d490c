"""The layout of Amazon Security Lake: OCSF objects in the folders of the events' own days."""

import io

import duckdb
import polars as pl
import pyarrow.parquet
import pytest
from hypothesis import given, settings

from consumer.decoding.columns import decode
from consumer.decoding.row_encoding import encode
from consumer.destinations.object_store import rows
from consumer.destinations.object_store.config import ObjectStoreConfig, identity
from consumer.destinations.object_store.destination import ObjectStoreDestination
from consumer.destinations.object_store.layout import OCSF, flow_layouts
from consumer.destinations.object_store.parquet_footer import CompactThrift
from consumer.destinations.outcome import Partial, Retry, Sent
from consumer.formats import ocsf as ocsf_format
from tests.support import ocsf
from tests.support.messages import WRITER_SCHEMAS, event, event_lists, message
from tests.support.metered_store import MeteredStore
from tests.support.object_stores import body, body_of_events, opened

LAKE = {"format": "ocsf", "layout": "security-lake", "region": "eu-central-1"}
DAY_MS = 86_400_000
DAYS = [20_000 * DAY_MS, 20_001 * DAY_MS, 20_000 * DAY_MS + 7, 19_999 * DAY_MS]
"""The times of four events, which are not in order."""


def frame_of(events):
    return decode([message(each) for each in events], WRITER_SCHEMAS).frame


def stored(events, first=100):
    content = rows.encode_body(rows.encode_rows(frame_of(events)))
    return rows.encode_object(rows.read_body(content, range(first, first + len(events))), "events", 3, OCSF)


def expected(events, first=100):
    """The rows of an object by plain Python, in the order of time."""
    found = [ocsf.attributes(each) for each in events]
    for offset, each in enumerate(found, first):
        each["metadata"]["sequence"] = offset
    return sorted(found, key=lambda each: each["time"])


@settings(max_examples=40, deadline=None)
@given(event_lists)
def test_pyarrow_reads_every_field_back(events):
    """In the order of time; the offset is the sequence of an event."""
    assert pyarrow.parquet.read_table(io.BytesIO(stored(events))).to_pylist() == expected(events)


@settings(max_examples=40, deadline=None)
@given(event_lists)
def test_the_writer_reads_its_own_objects(events):
    """The rows are in the order of the offsets again."""
    read = rows.read_object(stored(events), "events", 3, 100, OCSF)
    assert (read.first, read.last) == (100, 99 + len(events))
    assert read.rows["uid"].to_list() == [ocsf.uid(each) for each in events]


def page_sizes(content):
    """The bytes of each data page before compression, with the size of its header."""
    group = pyarrow.parquet.read_metadata(io.BytesIO(content)).row_group(0)
    for column in map(group.column, range(group.num_columns)):
        place = min(filter(None, (column.data_page_offset, column.dictionary_page_offset)))
        stop = place + column.total_compressed_size
        while place < stop:
            thrift = CompactThrift(content[place:stop])
            header = thrift.struct()
            yield header[2] + thrift.position
            place += thrift.position + header[3]


def test_a_data_page_has_at_most_a_megabyte():
    """Bytes before compression; a longer column has several pages."""
    events = frame_of([event(number) for number in range(3_000)])
    long = pl.int_range(pl.len()).cast(pl.String).str.pad_start(1_000, "x")
    content = rows.encode_object(
        rows.read_body(
            rows.encode_body(rows.encode_rows(events.with_columns(description=long))), range(3_000)
        ),
        "events",
        3,
        OCSF,
    )
    sizes = sorted(page_sizes(content))
    assert (sizes[-1] <= 1_000_000, sizes[-3] > 500_000) == (True, True)


def test_an_object_of_the_other_format_is_named():
    with pytest.raises(rows.ForeignObjectError, match="layout ocsf-1"):
        rows.read_object(stored([event(1)]), "events", 3, 100)


def four(destination):
    return body_of_events(destination, [event(n, created=time) for n, time in enumerate(DAYS)], [5, 6, 8, 9])


async def test_duckdb_reads_the_folders(tmp_path):
    """Each event is in the folder of its own day, and history has an account of its own."""
    async with opened(f"file://{tmp_path}", **LAKE, history_account_id="external_old") as flows:
        assert await flows["live"].send(four(flows["live"])) == Sent()
        assert await flows["history"].send(body(flows["history"], [3])) == Sent()
    objects = duckdb.read_parquet(
        f"{tmp_path}/region=*/accountId=*/eventDay=*/*.parquet", hive_partitioning=True
    )
    columns = "region, accountId, eventDay, metadata.sequence, class_uid, metadata.uid, entity.name, time"
    found = objects.filter("accountId = 'external_jira'").project(columns).order("sequence").fetchall()
    assert [(each[0], str(each[2]), *each[3:]) for each in found] == [
        ("eu-central-1", day, offset, 3004, f"acme.atlassian.net/{n}", "Jira", DAYS[n])
        for n, (day, offset) in enumerate(
            [("20241004", 5), ("20241005", 6), ("20241004", 8), ("20241003", 9)]
        )
    ]
    assert [path.parent.parent.name for path in tmp_path.rglob("*0003.parquet")] == ["accountId=external_old"]


async def test_a_successor_adds_the_rows_behind_a_stored_body_alone(tmp_path):
    """It gathered more rows of the same days."""
    times = [*DAYS, DAYS[2], DAYS[1]]
    for count in (4, 6, 6):
        async with opened(f"file://{tmp_path}", **LAKE) as flows:
            events = [event(n, created=times[n]) for n in range(count)]
            offsets = [5, 6, 8, 9, 10, 12][:count]
            assert await flows["live"].send(body_of_events(flows["live"], events, offsets)) == Sent()
            assert flows.keys() == {"live"}
    found = sorted(path.relative_to(tmp_path).parts[2:] for path in tmp_path.rglob("*.parquet"))
    assert [(day, int(name[-12:-8])) for day, name in found] == [
        ("eventDay=20241003", 9), ("eventDay=20241004", 5), ("eventDay=20241004", 10),
        ("eventDay=20241005", 6), ("eventDay=20241005", 12),
    ]  # fmt: skip


async def test_an_event_that_fails_to_become_ocsf_is_found_before_it_is_gathered(tmp_path, monkeypatch):
    """There it becomes a dead letter; in an object it would stop all events of the destination."""

    def verb_of(summary):
        return {"User created": "create", "": "other"}[summary]

    monkeypatch.setattr(ocsf_format, "verb_of", verb_of)
    async with opened(f"file://{tmp_path}", **LAKE) as flows:
        records = [message(event(1)), message(event(2, summary="poison")), message(event(3))]
        found = encode(records, dict(WRITER_SCHEMAS.items()), flows["live"].encode)
    assert (list(found.indices), [each.index for each in found.undecodable]) == ([0, 2], [1])


@pytest.mark.parametrize("calls", range(3, 12))
async def test_a_fault_leaves_the_rows_that_are_in_no_object(calls):
    """Days alternate, so these are not the last ones; the attempts together write each row once."""
    store = MeteredStore(fault=Retry("503 SlowDown", 503))
    config = ObjectStoreConfig(kind="object-store", location="s3://lake/ext/jira", **LAKE)
    layout = flow_layouts(config)["live"]
    live = ObjectStoreDestination(store, "lake", config, "live", layout, 20.0)
    store.calls = calls
    outcome = await live.send(four(live))
    written = [row["metadata"]["sequence"] for row in store.rows_of_objects()]
    if isinstance(outcome, Partial):
        assert sorted(written) == [offset for n, offset in enumerate([5, 6, 8, 9]) if n not in outcome.retry]
    else:
        assert (outcome == Sent()) == (len(written) == 4)
        assert len(written) in {0, 4}
    store.calls = 1_000
    assert await live.send(four(live)) == Sent()
    assert sorted(row["metadata"]["sequence"] for row in store.rows_of_objects()) == [5, 6, 8, 9]


@pytest.mark.parametrize(
    ("fields", "message_"),
    [
        ({"format": "native"}, 'set format = "ocsf"'),
        ({"region": None}, "set region"),
        ({"window_seconds": 60}, "set window_seconds to 300"),
        ({"by_organization": {"acme.atlassian.net": "acme"}}, "use a destination with where"),
        ({"history_account_id": "external_jira"}, "history would raise alarms"),
        ({"account_id": "jira"}, "account_id"),
        ({"location": "s3://lake/jira"}, "set location to s3://BUCKET/ext/SOURCE"),
        ({"location": "s3://lake/ext"}, "set location to s3://BUCKET/ext/SOURCE"),
        ({"layout": "daily", "account_id": "external_old"}, "account_id without the layout"),
    ],
)
def test_settings_that_the_lake_refuses_are_named(fields, message_):
    with pytest.raises(ValueError, match=message_):
        ObjectStoreConfig(**{"kind": "object-store", "location": "s3://lake/ext/jira"} | LAKE | fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"location": "s3://lake/ext/jira/1.0"},
        {"location": "s3://lake/x", "endpoint": "https://s3.example.com"},
    ],
)
def test_a_version_of_a_source_and_another_store_are_accepted(fields):
    assert ObjectStoreConfig(**{"kind": "object-store"} | LAKE | fields).layout == "security-lake"


def test_another_format_or_layout_is_another_target():
    """A change of them waits for a confirmation, since events would be stored twice."""
    config = ObjectStoreConfig(kind="object-store", location="s3://lake/ext/jira", **LAKE)
    common = {"location": "s3://lake/ext/jira", "format": "ocsf"}
    assert identity(config) == {
        "live": common | {"layout": "security-lake", "region": "eu-central-1", "account": "external_jira"}
    }
    daily = config.model_copy(update={"layout": "daily"})
    assert identity(daily)["history"] == common | {"folder": "history"}

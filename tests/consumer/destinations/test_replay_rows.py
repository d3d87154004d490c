"""Rows of a replay in every format: they say so, and are the rows of their events otherwise."""

import io
import json
from decimal import Decimal

import pyarrow.parquet
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.decoding.columns import decode
from consumer.destinations.elasticsearch import rows as elasticsearch
from consumer.destinations.elasticsearch.config import ElasticsearchConfig
from consumer.destinations.http import rows as http
from consumer.destinations.http.config import HttpConfig
from consumer.destinations.kafka import rows as kafka
from consumer.destinations.kafka.config import TopicConfig
from consumer.destinations.object_store import rows as objects
from consumer.destinations.object_store.layout import OCSF, PLAIN
from consumer.destinations.otlp import rows as otlp
from consumer.destinations.otlp.config import OtlpConfig
from consumer.destinations.sentinel import rows as sentinel
from consumer.destinations.sentinel_asim import rows as asim
from consumer.destinations.splunk import rows as splunk
from consumer.formats.replay_mark import mark_replayed
from tests.support import asim as asim_twin
from tests.support import ecs, expected_rows, ocsf
from tests.support import otlp as otlp_twin
from tests.support.messages import WRITER_SCHEMAS, event, event_lists, message

ID = "20261130-071500-ab12"
LAST_MS = 253_402_300_799_999
"""The end of the year 9999."""


def native(each):
    return {"uid": ecs.uid(each)} | ecs.without_nulls(each)


def http_documents(frame, **fields):
    config = HttpConfig(kind="http", url="https://collector.example.com/x", **fields)
    framing = http.body_format(config)
    rows = http.encode_rows(frame, config.format, framing, config.event_format)
    return [json.loads(row) for row in rows]


def splunk_events(frame, **envelope):
    found = splunk.Envelope("relay", "jira:audit", **envelope)
    row = found.row(replayed="replay_id" in frame.columns)
    rows = splunk.encode_rows(frame, row, splunk.body_format(1_000_000), found.format)
    return [json.loads(row, parse_float=Decimal)["event"] for row in rows]


def bulk_documents(frame, **fields):
    config = ElasticsearchConfig(kind="elasticsearch", endpoint="https://elastic.example.com", **fields)
    rows = elasticsearch.encode_rows(frame, config.format, None, elasticsearch.body_format(config))
    found = [json.loads(row.partition(b"\n")[2]) for row in rows]
    return [{name: value for name, value in each.items() if name != "@timestamp"} for each in found] if (
        config.format != "ecs"
    ) else found  # fmt: skip


def kafka_records(frame, **fields):
    config = TopicConfig(kind="kafka", topic="t", **fields)
    framing = kafka.body_format(config)
    return kafka.decode_records(framing.framed(kafka.encode_rows(frame, config, framing)), 1_800_000_000_000)


def kafka_values(frame, **fields):
    return [json.loads(value) for _, value, *_ in kafka_records(frame, **fields)]


def log_records(frame, encoding):
    config = OtlpConfig(
        kind="otlp", endpoint="https://localhost", compression="none", encoding=encoding, time="collected"
    )
    framing = otlp.body_format(config, "history")
    body = otlp.encode_body(otlp.encode_rows(frame, config, "collected", framing), config, "history", framing)
    judge = {"protobuf": otlp_twin.judged, "json": otlp_twin.judged_json}[encoding]
    return [otlp_twin.comparable(each) for each in otlp_twin.records_of(judge(body))]


FORMATS = {
    "sentinel": (lambda frame: map(json.loads, sentinel.encode_rows(frame)), expected_rows.expected),
    "sentinel-asim": (lambda frame: map(json.loads, asim.encode_rows(frame)), asim_twin.row),
    "http": (http_documents, native),
    "http, lines": (lambda frame: http_documents(frame, format="ndjson"), native),
    "http, ocsf": (lambda frame: http_documents(frame, event_format="ocsf"), ocsf.document),
    "splunk": (splunk_events, native),
    "splunk, ocsf": (lambda frame: splunk_events(frame, format="ocsf"), ocsf.document),
    "elasticsearch": (bulk_documents, ecs.document),
    "elasticsearch, native": (lambda frame: bulk_documents(frame, format="native"), native),
    "elasticsearch, ocsf": (lambda frame: bulk_documents(frame, format="ocsf"), ocsf.document),
    "kafka": (kafka_values, native),
    "kafka, ecs": (lambda frame: kafka_values(frame, format="ecs"), ecs.document),
    "kafka, ocsf": (lambda frame: kafka_values(frame, format="ocsf"), ocsf.document),
    "otlp": (lambda frame: log_records(frame, "protobuf"), lambda each: otlp_twin.twin(each, "collected")),
    "otlp, json": (lambda frame: log_records(frame, "json"), lambda each: otlp_twin.twin(each, "collected")),
}
"""By format: the rows of a frame as objects, and the twin of an event in plain Python."""
formats = pytest.mark.parametrize("format_", FORMATS)


def frame_of(events):
    return decode([message(each) for each in events], dict(WRITER_SCHEMAS.items())).frame


@given(event_lists, st.booleans())
@settings(deadline=None, max_examples=15)
def test_each_row_of_a_replay_names_its_job_and_mode(events, keep_mode):
    """On any event of the years that each format can write, the row is that of the twin, which has the id in one more field."""
    events = [each | {name: each[name] % LAST_MS for name in ("created", "collected")} for each in events]
    replayed = [each | {"replay_id": ID} | ({} if keep_mode else {"mode": "replay"}) for each in events]
    frame = mark_replayed(frame_of(events), ID, keep_mode=keep_mode)
    for name, (rows, twin) in FORMATS.items():
        assert list(rows(frame)) == list(map(twin, replayed)), name


@formats
def test_a_row_that_is_no_replay_has_no_trace_of_one(format_):
    (row,) = FORMATS[format_][0](frame_of([event(1)]))
    assert "replay" not in json.dumps(row, default=str)


@formats
def test_a_long_event_of_a_replay_keeps_its_mark(format_):
    """Truncation leaves the id and the mode."""
    long = event(7, description="x" * 5_000_000, unmodeled="y" * 2_000_000)
    (row,) = FORMATS[format_][0](mark_replayed(frame_of([long]), ID))
    text = json.dumps(row, default=str)
    assert (text.count(f'"{ID}"'), '"replay"' in text, len(text) < 2_500_000) == (1, True, True)


@formats
def test_a_replay_without_rows_is_encoded(format_):
    """As after a filter that keeps no event of a batch."""
    if format_.startswith(("otlp", "kafka")):
        pytest.skip("the judges read no empty body")
    assert list(FORMATS[format_][0](mark_replayed(frame_of([event(1)])[:0], ID))) == []


def test_a_cloudevent_of_a_replay_is_the_same_event_with_an_extension():
    """The reference library reads the attribute. `id` and `source` are those of the first time, so receivers know the repeat."""
    (row,) = http_documents(mark_replayed(frame_of([event(1)]), ID), format="cloudevents")
    (first,) = http_documents(frame_of([event(1)]), format="cloudevents")
    read = JSONFormat().read(CloudEvent, json.dumps(row))
    assert read.get_extension("replayid") == ID
    assert (read.get_id(), read.get_source()) == (first["id"], first["source"])
    assert (row["data"]["mode"], row["data"]["replay_id"]) == ("replay", ID)
    assert row == first | {"replayid": ID, "data": first["data"] | {"mode": "replay", "replay_id": ID}}


@pytest.mark.parametrize("shape", ["native", "ecs", "ocsf"])
def test_a_record_of_a_replay_has_a_header(shape):
    """A reader leaves a replay out without parsing values; a CloudEvent has the extension too."""
    frame = mark_replayed(frame_of([event(1)]), ID)
    ((*_, headers),) = kafka_records(frame, format=shape)
    assert dict(headers) == {"relay.uid": b"acme.atlassian.net/1", "relay.replay": ID.encode()}
    ((key, value, _, headers),) = kafka_records(frame, format=shape, cloudevents=True)
    assert dict(headers)["relay.replay"] == ID.encode()
    read = from_binary(KafkaMessage(dict(headers), key, value), JSONFormat(), CloudEvent)
    assert read.get_extension("replayid") == ID


def stored(frame, format_):
    body = objects.encode_body(objects.encode_rows(frame))
    content = objects.encode_object(
        objects.read_body(body, range(100, 100 + frame.height)), "events", 3, format_
    )
    return pyarrow.parquet.read_table(io.BytesIO(content))


@pytest.mark.parametrize("format_", [PLAIN, OCSF], ids=lambda each: each.name)
def test_objects_of_a_replay_and_of_live_events_have_the_same_columns(format_):
    """One table may have both; the id is null in those of live events."""
    events = frame_of([event(1), event(2)])
    live, replay = stored(events, format_), stored(mark_replayed(events, ID), format_)
    assert live.schema.remove_metadata() == replay.schema.remove_metadata()
    assert [marks(each) for each in (*live.to_pylist(), *replay.to_pylist())] == [
        ("live", None),
        ("live", None),
        ("replay", ID),
        ("replay", ID),
    ]


def marks(row):
    """The mode and the id in a row of either format."""
    if "mode" in row:
        return row["mode"], row["replay_id"]
    return row["metadata"]["labels"][0], row["unmapped"]["replay_id"]


@given(events=event_lists)
@settings(deadline=None, max_examples=15)
def test_an_ocsf_object_of_a_replay_agrees_with_its_twin(events):
    replayed = [ocsf.attributes(each | {"mode": "replay", "replay_id": ID}) for each in events]
    for offset, each in enumerate(replayed, 100):
        each["metadata"]["sequence"] = offset
    found = stored(mark_replayed(frame_of(events), ID), OCSF).to_pylist()
    assert found == sorted(replayed, key=lambda each: each["time"])

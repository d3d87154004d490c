"""Rows and bodies of the bulk API, read back line by line."""

import gzip
import hashlib
import json

import pytest
from hypothesis import given, settings

from consumer.decoding.columns import decode
from consumer.destinations.elasticsearch import rows
from consumer.destinations.elasticsearch.config import ElasticsearchConfig
from tests.support import ecs, ocsf
from tests.support.messages import WRITER_SCHEMAS, event, event_lists, message

MONTHS = rows.MonthIndices("history", {"acme.atlassian.net": "acme"})


def config(**fields):
    return ElasticsearchConfig(kind="elasticsearch", endpoint="https://elastic.example.com", **fields)


def body(events, months=None, **fields):
    settings_ = config(**fields)
    framing = rows.body_format(settings_)
    frame = decode([message(each) for each in events], WRITER_SCHEMAS).frame
    return rows.encode_body(rows.encode_rows(frame, settings_.format, months, framing), settings_, framing)


def lines(content):
    """Action and document of each event. A line may end with a carriage return, which JSON ignores."""
    assert content.endswith(b"\n")
    read = [json.loads(line) for line in content[:-1].split(b"\n")]
    return list(zip(read[::2], read[1::2], strict=True))


def document_id(each):
    uid = ecs.uid(each).encode()
    return uid.decode() if len(uid) <= 512 else f"sha256:{hashlib.sha256(uid).hexdigest()}"


@given(event_lists)
@settings(deadline=None, max_examples=40)
def test_each_format_holds_the_same_events(events):
    """Each document is created under the id of its event, compressed or not."""
    ids = [document_id(each) for each in events]
    plain = lines(body(events, compression="none"))
    assert plain == lines(gzip.decompress(body(events)))
    assert [action for action, _ in plain] == [{"create": {"_id": each}} for each in ids]
    assert [document for _, document in plain] == [ecs.document(each) for each in events]
    native = lines(body(events, compression="none", format="native"))
    assert [action for action, _ in native] == [action for action, _ in plain]
    assert [document for _, document in lines(body(events, compression="none", format="ocsf"))] == [
        {"@timestamp": ecs.iso(each["created"])} | ocsf.document(each) for each in events
    ]
    for (_, document), each in zip(native, events, strict=True):
        assert document == {"@timestamp": ecs.iso(each["created"]), "uid": ecs.uid(each)} | ecs.without_nulls(
            each
        )


@pytest.mark.parametrize(
    ("created", "month"),
    [
        (1_767_225_600_000, "2026.01"),
        (1_767_225_599_999, "2025.12"),
        (1_009_843_200_000, "2002.01"),
        (1_009_843_199_999, "undated"),
        (4_102_444_799_999, "2099.12"),
        (4_102_444_800_000, "undated"),
        (2**63 - 1, "undated"),
        (-(2**63), "undated"),
    ],
)
def test_the_name_of_an_index_is_of_settings_and_a_month(created, month):
    """By organization, where the settings have it; no time makes indices without end."""
    events = [event(1, created=created), event(2, created=created, organization="../*,?", summary="/x")]
    found = [action["create"]["_index"] for action, _ in lines(body(events, MONTHS, compression="none"))]
    assert found == [f"acme-{month}", f"history-{month}"]


def test_a_long_organization_has_a_hashed_id():
    (found,) = lines(body([event(1, organization="ö" * 300)], compression="none"))
    assert found[0]["create"]["_id"].startswith("sha256:")
    assert found[1]["jira"]["audit"]["uid"] == f"{'ö' * 300}/1"


@pytest.mark.parametrize("shape", ["ecs", "native"])
def test_a_long_event_is_truncated_with_a_mark(shape):
    """Texts become short enough for Lucene, and the row for a body; id and time are whole."""
    item = {"id": "1", "name": "n" * 40_000, "typeName": "USER", "parentId": None, "parentName": "p"}
    change = {"fieldName": "f", "changedFrom": "x" * 33_000, "changedTo": None}
    long = event(
        7,
        description="ü" * 400_000,
        objectItem=item,
        associatedItems=[item] * 60,
        changedValues=[change] * 60,
    )
    for limit in (100_000, 5_000_000):
        content = body([long], compression="none", format=shape, max_body_bytes=limit)
        assert len(content) <= limit
        ((action, document),) = lines(content)
        assert action["create"]["_id"] == "acme.atlassian.net/7"
        assert document["@timestamp"] == ecs.iso(long["created"])
        assert (
            "was cut by jira-relay: 800000 bytes" in document["message" if shape == "ecs" else "description"]
        )
        assert all(len(text.encode()) <= 32_000 for text in texts(document))


def texts(value):
    match value:
        case str():
            yield value
        case dict():
            for each in value.values():
                yield from texts(each)
        case list():
            for each in value:
                yield from texts(each)

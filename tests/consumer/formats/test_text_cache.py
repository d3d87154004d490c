"""Caches by text: results are those of the function, and long texts are not kept."""

import tracemalloc

import pytest

from consumer.decoding.columns import decode
from consumer.decoding.event_schema import EVENT_COLUMNS
from consumer.formats.asim import asim_rows
from consumer.formats.ocsf import ocsf_columns
from consumer.formats.privacy import compile_privacy
from consumer.formats.text_cache import MAX_CACHED_CHARS, cache_short_texts
from tests.support.ecs_documents import ecs_documents
from tests.support.messages import WRITER_SCHEMAS, event, message

LONG, COUNT = 20_000, 400


def test_short_texts_are_worked_out_once_and_long_ones_each_time():
    """The bound of 200 characters is where the function is called again."""
    calls = []

    @cache_short_texts(2)
    def length(text):
        calls.append(text)
        return len(text)

    for text in ("a", "a", "x" * MAX_CACHED_CHARS, "x" * MAX_CACHED_CHARS):
        assert length(text) == len(text)
    assert len(calls) == 2
    for _ in range(2):
        assert length("x" * (MAX_CACHED_CHARS + 1)) == MAX_CACHED_CHARS + 1
    assert len(calls) == 4


HIDE = compile_privacy(
    {"authorAccountId": "hash", "remoteAddress": "mask"}, "0123456789abcdef0123456789abcdef", EVENT_COLUMNS
).hide


@pytest.mark.parametrize(
    "encode", [asim_rows, ecs_documents, ocsf_columns, HIDE], ids=["asim", "ecs", "ocsf", "hide"]
)
def test_long_texts_of_many_events_do_not_stay_in_memory(encode):
    """400 events with texts of 20 KB, each another one, leave less than a tenth of them behind."""
    tracemalloc.start()
    try:
        for first in range(0, COUNT, 20):
            texts = [f"{number} " + "x" * LONG for number in range(first, first + 20)]
            fields = ("summary", "category", "remoteAddress", "authorAccountId")
            item = dict.fromkeys(("id", "name", "parentId", "parentName"))
            events = [
                event(1, **dict.fromkeys(fields, text), objectItem=item | {"typeName": text})
                for text in texts
            ]
            encode(decode([message(each) for each in events], WRITER_SCHEMAS).frame)
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert left < COUNT * LONG / 10

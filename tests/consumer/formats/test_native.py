import json

import polars as pl

from consumer.decoding.columns import decode
from consumer.formats.native import event_uid, native_row
from tests.support.messages import WRITER_SCHEMAS, event, message


def test_events_that_share_an_id_have_different_keys():
    """The key of an ordinary event is `organization/id`; one with a variant has it in its key and in its row."""
    events = [event(7), event(7, variant="00000000000000ab")]
    frame = decode([message(one) for one in events], WRITER_SCHEMAS).frame
    name = events[0]["organization"]

    assert frame.select(event_uid()).to_series().to_list() == [f"{name}/7", f"{name}/7/00000000000000ab"]
    rows = [json.loads(row) for row in frame.select(native_row()).to_series()]
    assert [(row["uid"], row.get("variant")) for row in rows] == [
        (f"{name}/7", None),
        (f"{name}/7/00000000000000ab", "00000000000000ab"),
    ]
    assert frame.schema["variant"] == pl.String

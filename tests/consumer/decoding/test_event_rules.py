"""Filter and privacy rules hold on the fast way and on the slow one, record by record, alike."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.config import DestinationSettings
from consumer.decoding.event_rules import compile_rules
from consumer.decoding.row_encoding import encode
from consumer.formats.encoded_rows import EncodedRows
from consumer.formats.native import native_row
from relay.errors import SettingsError
from tests.support.messages import WRITER_SCHEMAS, Message, event_lists, message

RULES = compile_rules(
    "soc",
    DestinationSettings(
        where="category IS NULL OR id % 2 = 0 OR ARRAY_LENGTH(associatedTypes) > 1",
        hide={
            "authorKey": "hash",
            "summary": "drop",
            "remoteAddress": "mask",
            "names": "hash",
            "ids": "drop",
        },
        hide_key="0123456789abcdef0123456789abcdef",
    ),
)


def encode_rows(frame):
    return EncodedRows.of_texts(frame.select(native_row()).to_series(), b"\n")


def run(records):
    return encode(records, WRITER_SCHEMAS, RULES.encoder(encode_rows), RULES.select)


@given(event_lists, st.lists(st.booleans(), min_size=6, max_size=6))
@settings(deadline=None, max_examples=30)
def test_rules_do_not_depend_on_how_a_record_is_decoded(events, corrupt):
    """A record alone, in a batch, and beside corrupt records that force decoding one by one gives the same row, or none."""
    records = [message(each, offset=offset) for offset, each in enumerate(events)]
    alone = [run([record]) for record in records]
    rows = [row for each in alone for row in each.rows]
    together = run(records)
    assert (list(together.rows), together.decoded_singly) == (rows, 0)
    mixed = []
    for record, beside in zip(records, corrupt, strict=False):
        mixed += (
            [Message(record.value[: len(record.value) // 2], record.key, record.timestamp)] if beside else []
        )
        mixed.append(record)
    slow = run(mixed)
    assert list(slow.rows) == rows
    assert len(slow.skipped) == sum(len(each.skipped) for each in alone)
    assert len(slow.rows) + len(slow.skipped) + len(slow.undecodable) == len(mixed)


def test_an_odd_event_that_is_encoded_apart_is_hidden_too():
    """An encoder that fails on a batch is asked again for halves of it: none of them is seen without the rules."""
    seen = []

    def fails_on_batches(frame):
        seen.extend(frame["authorKey"].to_list())
        if frame.height > 1:
            raise TypeError("made up")
        return encode_rows(frame)

    records = [message({**EVENT, "id": number, "authorKey": f"zoe {number}"}) for number in range(0, 8, 2)]
    encoded = encode(records, WRITER_SCHEMAS, RULES.encoder(fails_on_batches), RULES.select)
    assert len(encoded.rows) == 4
    assert not [key for key in seen if key and "zoe" in key]
    assert all("summary" not in orjson.loads(row) for row in encoded.rows)


EVENT = {
    "organization": "acme",
    "id": 1,
    "created": 1,
    "collected": 2,
    "mode": "live",
    "summary": "User created",
}


def test_without_rules_nothing_is_done():
    """The encoder is the destination's own."""
    rules = compile_rules("soc", DestinationSettings())
    assert (rules.select, rules.encoder(encode_rows)) == (None, encode_rows)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"where": "sumary = 'x'"}, r"^destinations\.soc\.where has an unknown column sumary: did you mean summary\?$"),
        ({"hide": {"sumary": "drop"}}, r"^destinations\.soc\.hide has an unknown column sumary: did you mean summary\?$"),
        ({"hide": {"summary": "hash"}}, r"^destinations\.soc\.hide .* set hide_key or hide_key_file\.$"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_work_names_its_setting(given, said):
    with pytest.raises(SettingsError, match=said):
        compile_rules("soc", DestinationSettings(**given))

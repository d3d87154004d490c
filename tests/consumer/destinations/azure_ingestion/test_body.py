import gzip
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.destinations.azure_ingestion.body import MAX_BODY_BYTES, MAX_VALUE_BYTES, encode_body
from consumer.formats.encoded_rows import EncodedRows


@given(st.lists(st.integers(2, 400_000), max_size=6))
@settings(max_examples=20)
def test_a_body_is_the_array_of_its_rows(sizes):
    encoded = [b'"' + b"x" * (size - 2) + b'"' for size in sizes]
    assert json.loads(gzip.decompress(encode_body(EncodedRows.of(encoded, b",")))) == [
        "x" * (size - 2) for size in sizes
    ]


def test_a_body_is_within_azures_limit():
    """The largest body is within the 1,000,000 bytes of the Logs Ingestion API, in numbers that do not follow the code."""
    assert MAX_BODY_BYTES <= 1_000_000
    assert MAX_VALUE_BYTES <= 65_536

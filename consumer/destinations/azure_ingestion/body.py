"""The body of a request to the Logs Ingestion API, and its limits."""

from isal import isal_zlib

from consumer.destinations.contract import BodyFormat
from consumer.formats.encoded_rows import EncodedRows

MAX_BODY_BYTES = 1_000_000
"""Bytes of a body before compression. Limit: 1 MB, "both compressed and uncompressed" (Azure Monitor service limits, Logs
Ingestion API); the gateway answers 413 above 1,048,576 bytes on the wire."""

MAX_VALUE_BYTES = 64 * 1024
"""Azure truncates longer values silently (same page). Counted in bytes of UTF-8, the strictest way to count."""

BODY_FORMAT = BodyFormat(MAX_BODY_BYTES, b"[", b",", b"]")

_GZIP = 31
"""Window bits of zlib: a window of 32 KB, and gzip's header and checksum."""

SAFE_ROW_BYTES = MAX_VALUE_BYTES // 2
"""No value of a row below this can be too long, however it is written."""


def encode_body(encoded: EncodedRows) -> bytes:
    """Return a compressed JSON array. Level 1 of isal takes a tenth of zlib's time, for nearly its size.

    The gzip header holds no time: equal rows give an equal body.
    """
    return isal_zlib.compress(BODY_FORMAT.framed(encoded), 1, wbits=_GZIP)

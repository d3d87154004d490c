"""Rows for the table ASimAuditEventLogs."""

from collections.abc import Mapping

import orjson
import polars as pl

from consumer.destinations.azure_ingestion.body import BODY_FORMAT, MAX_VALUE_BYTES, SAFE_ROW_BYTES
from consumer.destinations.truncation import truncate_row
from consumer.formats.asim import asim_rows
from consumer.formats.encoded_rows import EncodedRows

COLUMNS: Mapping[str, str] = {
    "EventCount": "int",
    "EventStartTime": "datetime",
    "EventEndTime": "datetime",
    "EventType": "string",
    "EventResult": "string",
    "EventSeverity": "string",
    "EventVendor": "string",
    "EventProduct": "string",
    "EventSchemaVersion": "string",
    "EventOriginalUid": "string",
    "EventOriginalType": "string",
    "EventMessage": "string",
    "EventOwner": "string",
    "DvcHostname": "string",
    "Operation": "string",
    "Object": "string",
    "ObjectId": "string",
    "ObjectType": "string",
    "OriginalObjectType": "string",
    "OldValue": "string",
    "NewValue": "string",
    "ValueType": "string",
    "ActorUserId": "string",
    "ActorUsername": "string",
    "ActorUsernameType": "string",
    "SrcIpAddr": "string",
    "TargetAppName": "string",
    "TargetAppType": "string",
    "TargetUrl": "string",
    "AdditionalFields": "dynamic",
}
"""Column: its Kusto type in the stream and the table (table reference ASimAuditEventLogs). tests/deploy holds deploy/azure equal."""


def encode_rows(events: pl.DataFrame) -> EncodedRows:
    """Write one JSON object an event, in order; absent values are left out. A value that is too long is truncated with a mark."""
    rows = EncodedRows.of_texts(asim_rows(events), BODY_FORMAT.separator)
    return rows.with_rows({index: _fit_row(rows.row(index)) for index in rows.longer_than(SAFE_ROW_BYTES)})


def _fit_row(encoded: bytes) -> bytes:
    return truncate_row(orjson.loads(encoded), MAX_VALUE_BYTES, BODY_FORMAT.max_row_bytes)

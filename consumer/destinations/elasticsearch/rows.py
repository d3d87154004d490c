"""Rows for the bulk API: an action line that creates a document, and the document."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson
import polars as pl
from isal import igzip

from consumer.destinations.contract import BodyFormat
from consumer.destinations.elasticsearch.config import ElasticsearchConfig, Format
from consumer.destinations.truncation import truncate_texts
from consumer.formats.ecs import clipped, ecs_pieces, with_ecs_columns
from consumer.formats.encoded_rows import EncodedRows
from consumer.formats.json_text import iso_time, json_object, json_text
from consumer.formats.native import event_uid, native_fields
from consumer.formats.ocsf import ocsf_fields, with_ocsf_columns
from consumer.formats.replay_mark import is_replayed

SEPARATOR = b"\r\n"
"""Between rows. A row has a line feed within, and no carriage return, which JSON escapes.

Source: Elasticsearch, "Bulk API": each newline character may be preceded by a carriage return.
"""

MAX_ID_BYTES = 512
"""A longer document id is refused (Elasticsearch, "_id field")."""

MAX_VALUE_BYTES = 32_000
"""Bytes of a text. A keyword or flattened value above 32,766 bytes (Lucene's IndexWriter.MAX_TERM_LENGTH) refuses the document;
the term of a flattened value begins with the name of its field."""

_MIN_MONTH_MS, _MAX_MONTH_MS = 1_009_843_200_000, 4_102_444_799_999
"""Years 2002 to 2099. The time is Jira's: one that is wild must not make indices without end."""
UNDATED = "undated"

_ID, _INDEX = "documentId", "documentIndex"
_CREATE = json_text({"create": pl.struct(_id=_ID)})
_CREATE_IN_INDEX = json_text({"create": pl.struct(_index=_INDEX, _id=_ID)})
_CREATED_MS = pl.col("created").cast(pl.Int64)
_MONTH = (
    pl.when(_CREATED_MS.is_between(_MIN_MONTH_MS, _MAX_MONTH_MS))
    .then(clipped("created").dt.strftime("%Y.%m"))
    .otherwise(pl.lit(UNDATED))
)


def _documents(*, replayed: bool) -> Mapping[Format, list[pl.Expr]]:
    """Return by format the texts that make a document together. `replayed`: the events are those of a replay."""
    timestamp = {"@timestamp": iso_time(clipped("created"))}
    return {
        "ecs": ecs_pieces(replayed=replayed),
        "native": [json_object(timestamp | native_fields(replayed=replayed))],
        "ocsf": [json_object(timestamp | ocsf_fields(replayed=replayed))],
    }


_ROWS: Mapping[tuple[Format, bool, bool], pl.Expr] = {
    (shape, in_index, replayed): pl.concat_str(
        _CREATE_IN_INDEX if in_index else _CREATE, pl.lit("\n"), *document
    )
    for replayed in (False, True)
    for shape, document in _documents(replayed=replayed).items()
    for in_index in (False, True)
}
"""By format, by whether the action line names an index, and by whether the events are those of a replay."""


@dataclass(frozen=True, slots=True)
class MonthIndices:
    """The beginning of the names of month indices, by organization, and that of all others."""

    prefix: str
    by_organization: Mapping[str, str] = field(default_factory=dict)

    def names(self, events: pl.DataFrame) -> pl.Series:
        """Return the index of each event. Of an event's values only the month of its time is in the name."""
        months = events.select(_MONTH).to_series()
        if not self.by_organization:
            return f"{self.prefix}-" + months
        named = [self.by_organization.get(each, self.prefix) for each in events["organization"].to_list()]
        return pl.Series(named, dtype=pl.String) + "-" + months


def body_format(config: ElasticsearchConfig) -> BodyFormat:
    """Return the framing of a bulk request, whose last line must end too."""
    return BodyFormat(config.max_body_bytes, b"", SEPARATOR, b"\n", config.max_events)


def encode_rows(
    events: pl.DataFrame, shape: Format, months: MonthIndices | None, framing: BodyFormat
) -> EncodedRows:
    """Write an action line and a document an event, in order. `months` None: the URL of a request names the target.

    A text that is too long for an index, and a row that is too long for a body, are truncated with a mark.
    """
    columns = [_document_ids(events).alias(_ID)]
    if months is not None:
        columns.append(months.names(events).alias(_INDEX))
    texts = (
        _with_columns_of(shape, events)
        .with_columns(*columns)
        .select(_ROWS[shape, months is not None, is_replayed(events)])
        .to_series()
    )
    rows = EncodedRows.of_texts(texts, framing.separator)
    return rows.with_rows(
        {
            index: _fit_row(rows.row(index), framing.max_row_bytes)
            for index in rows.longer_than(MAX_VALUE_BYTES)
        }
    )


def _with_columns_of(shape: Format, events: pl.DataFrame) -> pl.DataFrame:
    match shape:
        case "ecs":
            return with_ecs_columns(events)
        case "ocsf":
            return with_ocsf_columns(events)
        case _:
            return events


def encode_body(rows: EncodedRows, config: ElasticsearchConfig, framing: BodyFormat) -> bytes:
    """Return the body of these rows. The gzip header holds no time: equal rows give an equal body."""
    content = framing.framed(rows)
    if config.compression == "none":
        return content
    compressed: bytes = igzip.compress(content, 1, mtime=0)
    return compressed


def _document_ids(events: pl.DataFrame) -> pl.Series:
    """Return the key of each event; a hash of one that is too long for a document id."""
    uids = events.select(event_uid()).to_series()
    if (uids.str.len_bytes() <= MAX_ID_BYTES).all():
        return uids
    return pl.Series([document_id(uid) for uid in uids.to_list()], dtype=pl.String)


def document_id(uid: str) -> str:
    """Return the id of an event's document."""
    encoded = uid.encode()
    return uid if len(encoded) <= MAX_ID_BYTES else f"sha256:{hashlib.sha256(encoded).hexdigest()}"


def _fit_row(row: bytes, max_bytes: int) -> bytes:
    action, _, document = row.partition(b"\n")
    room = max_bytes - len(action) - 1
    return b"%s\n%s" % (action, truncate_texts(orjson.loads(document), MAX_VALUE_BYTES, room))

"""CloudEvents 1.0: an envelope of attributes around an event in the native format."""

from urllib.parse import quote

import polars as pl

from consumer.formats.json_text import iso_time
from consumer.formats.native import event_uid, native_fields
from consumer.formats.replay_mark import REPLAY_ID
from consumer.formats.source_labels import CLOUDEVENTS_TYPE

SOURCE_COLUMN = "cloudeventsSource"
REPLAY_ATTRIBUTE = "replayid"
"""Extension attribute of the rows of a replay. A name has small letters and digits alone (CloudEvents 1.0.2, "Naming Conventions")."""

_MIN_TIME_MS, _MAX_TIME_MS = -62_135_596_800_000, 253_402_300_799_999
"""Years 1 to 9999, which RFC 3339 can write."""
_CONTROL_CHARACTERS = r"[\x00-\x1f\x7f-\x9f]"
_MAX_SUBJECT_CHARS = 200
_URI_CHARACTERS = "-._~:/?#[]@!$&'()*+,;=%"
_PLAIN_ORGANIZATION = "^[0-9A-Za-z._:-]+$"


def with_uri_sources(events: pl.DataFrame) -> pl.DataFrame:
    """Add the attribute `source`: `https://` and the organization, percent-encoded where it is no host.

    Source: CloudEvents 1.0.2, "source" is a non-empty URI-reference.
    """
    organization = pl.col("organization")
    if events.select(organization.str.contains(_PLAIN_ORGANIZATION).all()).item():
        return events.with_columns((pl.lit("https://") + organization).alias(SOURCE_COLUMN))
    names = events["organization"].unique().to_list()
    sources = [f"https://{quote(name, safe=_URI_CHARACTERS)}" for name in names]
    replaced = organization.replace_strict(names, sources, return_dtype=pl.String)
    return events.with_columns(replaced.alias(SOURCE_COLUMN))


def cloudevents_attributes(*, replayed: bool = False) -> dict[str, pl.Expr]:
    """Return the attributes of each event of `with_uri_sources`. `source` and `id` identify repeats.

    A category that is empty is left out as subject, and a time that RFC 3339 cannot write is left out too.
    `replayed`: the events are those of a replay, which an attribute names.
    """
    extension = {REPLAY_ATTRIBUTE: pl.col(REPLAY_ID)} if replayed else {}
    data = native_fields(replayed=replayed)
    subject = pl.col("category").str.replace_all(_CONTROL_CHARACTERS, " ").str.slice(0, _MAX_SUBJECT_CHARS)
    created = pl.col("created")
    writable = created.cast(pl.Int64).is_between(_MIN_TIME_MS, _MAX_TIME_MS)
    return {
        "specversion": pl.lit("1.0"),
        "id": event_uid(),
        "source": pl.col(SOURCE_COLUMN),
        "type": pl.lit(CLOUDEVENTS_TYPE),
        "time": iso_time(pl.when(writable).then(created)),
        "subject": pl.when(subject != "").then(subject),
        "datacontenttype": pl.lit("application/json"),
        **extension,
        "data": pl.struct([value.alias(name) for name, value in data.items()]),
    }  # fmt: skip

"""Settings of the destination kind sentinel."""

from typing import Annotated, Literal

from pydantic import Field

from consumer.destinations.azure_ingestion.config import IngestionSettings, StreamName, refuse_streams
from consumer.formats.source_labels import (
    SENTINEL_ASIM_HISTORY_STREAM,
    SENTINEL_ASIM_STREAM,
    SENTINEL_HISTORY_STREAM,
    SENTINEL_STREAM,
)

_Stream = Annotated[StreamName, refuse_streams(SENTINEL_ASIM_STREAM, SENTINEL_ASIM_HISTORY_STREAM)]


class SentinelConfig(IngestionSettings):
    """A data collection rule of Microsoft Sentinel, under a name of your choice: small letters, digits and underscores."""

    kind: Literal["sentinel"] = Field(
        description="Kind of the destination. Not set: its name is its kind.", examples=["sentinel"]
    )
    stream: _Stream = Field(
        default=SENTINEL_STREAM,
        description="Stream of the rule for new events.",
        examples=[SENTINEL_STREAM],
    )
    history_stream: _Stream = Field(
        default=SENTINEL_HISTORY_STREAM,
        description="Stream of the rule for backfill and replay. Its own table keeps history out of alert rules.",
        examples=[SENTINEL_STREAM],
    )

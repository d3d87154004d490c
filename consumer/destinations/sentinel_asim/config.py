"""Settings of the destination kind sentinel-asim."""

from typing import Annotated, Literal

from pydantic import Field

from consumer.destinations.azure_ingestion.config import IngestionSettings, StreamName, refuse_streams
from consumer.formats.source_labels import (
    SENTINEL_ASIM_HISTORY_STREAM,
    SENTINEL_ASIM_STREAM,
    SENTINEL_HISTORY_STREAM,
    SENTINEL_STREAM,
)

_Stream = Annotated[StreamName, refuse_streams(SENTINEL_STREAM, SENTINEL_HISTORY_STREAM)]


class SentinelAsimConfig(IngestionSettings):
    """A data collection rule that fills Microsoft Sentinel's table of normalized audit events (ASIM)."""

    kind: Literal["sentinel-asim"] = Field(
        description="Kind of the destination; its name cannot be its kind, since a name has no hyphen.",
        examples=["sentinel-asim"],
    )
    stream: _Stream = Field(
        default=SENTINEL_ASIM_STREAM,
        description="Stream of the rule for new events.",
        examples=[SENTINEL_ASIM_STREAM],
    )
    history_stream: _Stream = Field(
        default=SENTINEL_ASIM_HISTORY_STREAM,
        description="Stream of the rule for backfill and replay. Its own table keeps history out of alert rules.",
        examples=[SENTINEL_ASIM_STREAM],
    )

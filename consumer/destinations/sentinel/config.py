"""Settings of the destination kind sentinel."""

from typing import Literal

from pydantic import Field

from consumer.destinations.azure_ingestion.config import IngestionSettings, StreamName
from consumer.formats.source_labels import SENTINEL_HISTORY_STREAM, SENTINEL_STREAM


class SentinelConfig(IngestionSettings):
    """A data collection rule of Microsoft Sentinel, under a name of your choice: small letters, digits and underscores."""

    kind: Literal["sentinel"] = Field(
        description="Kind of the destination. Not set: its name is its kind.", examples=["sentinel"]
    )
    stream: StreamName = Field(
        default=SENTINEL_STREAM,
        description="Stream of the rule for new events.",
        examples=[SENTINEL_STREAM],
    )
    history_stream: StreamName = Field(
        default=SENTINEL_HISTORY_STREAM,
        description="Stream of the rule for backfill and replay. Its own table keeps history out of alert rules.",
        examples=[SENTINEL_STREAM],
    )

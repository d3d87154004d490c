"""Settings of the destination kind sentinel-asim."""

from typing import Literal

from pydantic import Field

from consumer.destinations.azure_ingestion.config import IngestionSettings, StreamName


class SentinelAsimConfig(IngestionSettings):
    """A data collection rule that fills Microsoft Sentinel's table of normalized audit events (ASIM)."""

    kind: Literal["sentinel-asim"] = Field(
        description="Kind of the destination; its name cannot be its kind, since a name has no hyphen.",
        examples=["sentinel-asim"],
    )
    stream: StreamName = Field(
        default="Custom-JiraAuditRelayAsim",
        description="Stream of the rule for new events.",
        examples=["Custom-JiraAuditRelayAsim"],
    )
    history_stream: StreamName = Field(
        default="Custom-JiraAuditRelayAsimHistory",
        description="Stream of the rule for backfill and replay. Its own table keeps history out of alert rules.",
        examples=["Custom-JiraAuditRelayAsim"],
    )

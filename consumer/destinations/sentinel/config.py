"""Settings of the destination kind sentinel."""

from typing import Literal

from pydantic import Field

from consumer.destinations.azure_ingestion.config import IngestionSettings, StreamName


class SentinelConfig(IngestionSettings):
    """A data collection rule of Microsoft Sentinel, under a name of your choice: small letters, digits and underscores."""

    kind: Literal["sentinel"] = Field(
        description="Kind of the destination. Not set: its name is its kind.", examples=["sentinel"]
    )
    stream: StreamName = Field(
        default="Custom-JiraAuditRelay",
        description="Stream of the rule for new events.",
        examples=["Custom-JiraAuditRelay"],
    )
    history_stream: StreamName = Field(
        default="Custom-JiraAuditRelayHistory",
        description="Stream of the rule for backfill and replay. Its own table keeps history out of alert rules.",
        examples=["Custom-JiraAuditRelay"],
    )

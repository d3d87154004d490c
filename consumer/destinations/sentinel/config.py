"""Settings of the destination kind sentinel."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from consumer.destinations.azure_ingestion.config import IngestionSettings, StreamName, refuse_streams
from consumer.destinations.read_back import ReadBackSettings
from consumer.formats.source_labels import (
    SENTINEL_ASIM_HISTORY_STREAM,
    SENTINEL_ASIM_STREAM,
    SENTINEL_HISTORY_STREAM,
    SENTINEL_STREAM,
    SENTINEL_TABLES,
)
from relay.config.base import AzureCredential, OriginUrl

_TableName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,62}$")]
_Stream = Annotated[StreamName, refuse_streams(SENTINEL_ASIM_STREAM, SENTINEL_ASIM_HISTORY_STREAM)]


class SentinelConfig(IngestionSettings, ReadBackSettings):
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
    workspace_id: (
        Annotated[str, Field(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")] | None
    ) = Field(
        default=None,
        description="Workspace ID of the Log Analytics workspace, for `read_back`: the GUID on its overview.",
        examples=["63613592-b6f7-4c3d-a390-22ba13102111"],
    )
    read_back_tables: Annotated[tuple[_TableName, ...], Field(min_length=1, max_length=8)] = Field(
        default=SENTINEL_TABLES,
        description="Tables that the two streams of the rule fill, for `read_back`.",
        examples=[list(SENTINEL_TABLES)],
    )
    read_back_credential: AzureCredential = Field(
        default="default",
        description="Credential for `read_back`, as `credential`; its identity needs the role Log Analytics Reader on the workspace.",
        examples=["azure-cli"],
    )
    query_endpoint: OriginUrl | None = Field(
        default=None,
        description="Query endpoint of Log Analytics. Not set: that of the cloud.",
        examples=["https://api.loganalytics.azure.com"],
    )

    @model_validator(mode="after")
    def _check_workspace(self) -> Self:
        if self.read_back and self.workspace_id is None:
            raise ValueError(
                "read_back needs workspace_id, the GUID on the overview of the Log Analytics workspace"
            )
        return self

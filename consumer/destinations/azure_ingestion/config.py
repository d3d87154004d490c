"""Settings of a data collection rule."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from consumer.config import DestinationSettings
from consumer.destinations.contract import Flow
from relay.config.base import AzureCredential, OriginUrl

_RULE_ID = re.compile(r"dcr-[0-9a-f]{32}")


_STREAM = re.compile(r"Custom-[A-Za-z0-9_-]{1,100}")


_CLOUD_SUFFIXES = {  # Source: Microsoft's Logstash plugin 2.5.1, which rejects others.
    ".ingest.monitor.azure.com": "public",
    ".ingest.monitor.azure.us": "usgov",
    ".ingest.monitor.azure.cn": "china",
}


def _rule_id(text: str) -> str:
    if not _RULE_ID.fullmatch(text.lower()):
        raise ValueError(
            "must be the rule's immutable id: dcr- and 32 hexadecimal digits (immutableId in the JSON view of the data collection rule)"
        )
    return text.lower()


def _stream(name: str) -> str:
    if not _STREAM.fullmatch(name):
        raise ValueError("must be Custom- followed by letters, digits, hyphens or underscores")
    return name


StreamName = Annotated[str, AfterValidator(_stream)]
"""Name of a stream that a rule declares; it begins with Custom- (structure of a data collection rule, Azure Monitor)."""


def refuse_streams(*others: str) -> AfterValidator:
    """Refuse the default streams of another kind: Azure accepts rows of other columns with a 204, and drops the columns."""

    def check(name: str) -> str:
        if name in others:
            raise ValueError(
                f"must not be {name}, a stream for the rows of another kind: Azure would drop their columns without an error;"
                " leave the setting out, or name a stream of this kind"
            )
        return name

    return AfterValidator(check)


def _check_cloud(endpoint: str, cloud: str) -> None:
    for suffix, owner in _CLOUD_SUFFIXES.items():
        if endpoint.endswith(suffix) and owner != cloud:
            raise ValueError(f"The endpoint {endpoint} belongs to the cloud {owner}, but cloud is {cloud}")


class IngestionSettings(DestinationSettings):
    """The rule, its streams and the credential, which each kind that sends to a rule has; a kind sets the defaults of streams."""

    kind: str
    endpoint: OriginUrl = Field(
        description="Logs ingestion endpoint of the data collection rule, or of a data collection endpoint.",
        examples=["https://relay-a1b2.westeurope-1.ingest.monitor.azure.com"],
    )
    rule_id: Annotated[str, AfterValidator(_rule_id)] = Field(
        description="Immutable id of the data collection rule.",
        examples=["dcr-0123456789abcdef0123456789abcdef"],
    )
    stream: StreamName
    history_stream: StreamName
    cloud: Literal["public", "usgov", "china"] = Field(
        default="public", description="Azure cloud of the rule.", examples=["public"]
    )
    credential: AzureCredential = Field(
        default="default",
        description="Credential of azure-identity; its own variables (AZURE_…, IDENTITY_…) apply.",
        examples=["managed-identity"],
    )

    @model_validator(mode="after")
    def _check_cloud(self) -> Self:
        _check_cloud(self.endpoint, self.cloud)
        return self


def identity(config: IngestionSettings) -> dict[Flow, dict[str, str]]:
    """Return the rule and the stream of each flow: where rows go, with any credential."""
    rule = {"endpoint": config.endpoint, "rule": config.rule_id}
    return {
        "live": rule | {"stream": config.stream},
        "history": rule | {"stream": config.history_stream},
    }

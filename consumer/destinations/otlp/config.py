"""Settings of the destination kind otlp."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from consumer.config import DestinationSettings
from consumer.destinations.certificate_settings import CertificateSettings
from consumer.destinations.contract import Flow
from consumer.destinations.request_headers import HeaderSettings
from consumer.formats.record_time import RecordTime
from relay.config.base import Count
from relay.config.validators import parse_url

Encoding = Literal["protobuf", "json"]

LOGS_PATH = "/v1/logs"
"""Source: OTLP 1.5, "OTLP/HTTP Request": the default path of logs."""
_SERVICE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}")


def _base_url(text: str) -> str:
    """Return a base URL without the path of logs. Raises ValueError."""
    origin, rest = parse_url(text)
    if not origin.confidential:
        raise ValueError("must be https, since events are sent there (http is allowed to localhost only)")
    if "?" in rest or "#" in rest:
        raise ValueError("must end before any ? or #; a credential belongs in headers or headers_file")
    return origin.url + rest.rstrip("/").removesuffix(LOGS_PATH)


def _service_name(text: str) -> str:
    if not _SERVICE_NAME.fullmatch(text):
        raise ValueError("must be at most 100 letters, digits, dots, colons, slashes, hyphens or underscores")
    return text


BaseUrl = Annotated[str, AfterValidator(_base_url)]


class OtlpConfig(HeaderSettings, CertificateSettings, DestinationSettings):
    """A server that takes the logs of OpenTelemetry by HTTP, under a name of your choice: small letters, digits and underscores."""

    kind: Literal["otlp"] = Field(
        description="Kind of the destination. Not set: its name is its kind.", examples=["otlp"]
    )
    endpoint: BaseUrl = Field(
        description="Base URL for new events; the relay adds `/v1/logs`.",
        examples=["https://collector.example.com:4318"],
    )
    history_endpoint: BaseUrl | None = Field(
        default=None,
        description="Base URL for backfill and replay, which may be that of `endpoint`. Not set: history is not sent.",
        examples=["https://collector.example.com:4318"],
    )
    encoding: Encoding = Field(
        default="protobuf",
        description="Encoding of a body: `protobuf`, which every backend takes, or `json`.",
        examples=["json"],
    )
    compression: Literal["none", "gzip"] = Field(
        default="gzip", description="Compression of bodies: `gzip` or `none`.", examples=["none"]
    )
    time: RecordTime = Field(
        default="created",
        description="Time of a record: `created`, when the event happened, or `collected`, when the relay read it, for a backend that "
        "drops old records.",
        examples=["collected"],
    )
    history_time: RecordTime | None = Field(
        default=None,
        description="The same for backfill and replay. Not set: as `time`.",
        examples=["collected"],
    )
    partial_success: Literal["dead-letters", "halve"] = Field(
        default="dead-letters",
        description="What to do with a body of which the backend dropped some events without naming them: all its events become "
        "`dead-letters`, or the relay sends it again in ever smaller parts (`halve`) to find them, where the backend removes "
        "repeats by `log.record.uid`.",
        examples=["halve"],
    )
    service_name: Annotated[str, AfterValidator(_service_name)] = Field(
        default="jira-audit-relay",
        description="Attribute `service.name` of the resource.",
        examples=["jira-audit-relay"],
    )
    max_body_bytes: Count = Field(
        default=1_000_000,
        ge=100_000,
        le=10_000_000,
        description="Largest body before compression, in bytes; a longer event is truncated with a mark.",
        examples=[4_000_000],
    )
    max_events: Count = Field(
        default=1_000, ge=1, le=10_000, description="Most events in a request.", examples=[500]
    )
    max_value_bytes: Count = Field(
        default=32_000,
        ge=1_000,
        le=1_000_000,
        description="Longest body or attribute of a record, in bytes; a longer one is truncated with a mark.",
        examples=[4_000],
    )
    max_requests: Count = Field(
        default=4, ge=1, le=64, description="Most requests at a time for each flow.", examples=[16]
    )


def identity(config: OtlpConfig) -> dict[Flow, dict[str, str]]:
    """Return the base URL of each flow: a tenant is named by a header, which is a secret."""
    live: dict[Flow, dict[str, str]] = {"live": {"endpoint": config.endpoint}}
    if config.history_endpoint is None:
        return live
    return live | {"history": {"endpoint": config.history_endpoint}}

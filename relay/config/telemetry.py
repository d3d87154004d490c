"""Settings of logs, metrics, health and traces."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from relay.config import validators as values
from relay.config.base import ConfigModel, ExistingFile, ListenAddress

TRACES_PATH = "/v1/traces"
"""Source: OTLP 1.5, "OTLP/HTTP Request": the default path of traces."""
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.1: a token
_OWN_HEADERS = frozenset(
    {"connection", "content-encoding", "content-length", "content-type", "host", "transfer-encoding"}
)


def _traces_url(text: str) -> str:
    return values.normalize_url(text).removesuffix(TRACES_PATH)


class TelemetryConfig(ConfigModel):
    """Logs, metrics, health and traces."""

    listen: ListenAddress = Field(
        default="127.0.0.1:9464",
        description="Address and port of `/healthz`, `/readyz` and `/metrics`. Each service on a machine needs a port of its own.",
        examples=["0.0.0.0:9464"],
    )
    log_format: Literal["json", "text", "auto"] = Field(
        default="auto",
        description="Format of log lines. `auto`: text on a terminal, JSON elsewhere.",
        examples=["json"],
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Minimum level of log lines.", examples=["warning"]
    )
    traces_endpoint: Annotated[str, AfterValidator(_traces_url)] | None = Field(
        default=None,
        description="Base URL of a collector of OpenTelemetry that receives [traces](operations/traces.md) by HTTP; the relay adds "
        "`/v1/traces`. Not set: no traces.",
        examples=["http://otel-collector:4318"],
    )
    traces_ratio: float = Field(
        default=1.0,
        ge=0.0,
        le=1.0,
        description="Part of the polls whose events are traced, from 0 to 1. A consumer traces what producers have chosen.",
        examples=[0.1],
    )
    traces_headers: dict[str, SecretStr] = Field(
        default={},
        description="Headers of each request to the collector. All values count as secrets, so the endpoint must be https then.",
        examples=[{"Authorization": "Bearer …"}],
    )
    traces_ca_file: ExistingFile | None = Field(
        default=None,
        description="CA certificates (PEM) to verify the collector. Not set: the system's.",
        examples=["/etc/relay/ca.pem"],
    )

    @model_validator(mode="after")
    def _check_traces(self) -> Self:
        for name in self.traces_headers:
            if not _HEADER_NAME.fullmatch(name):
                raise ValueError("telemetry.traces_headers has an invalid HTTP header name: correct it")
            if name.lower() in _OWN_HEADERS:
                raise ValueError(
                    f"telemetry.traces_headers has the header {name}, which the relay sets itself: remove it"
                )
        endpoint = self.traces_endpoint
        if endpoint is not None and self.traces_headers and not values.parse_url(endpoint)[0].confidential:
            raise ValueError(
                "telemetry.traces_headers would be sent without encryption: telemetry.traces_endpoint must be https (http is allowed "
                "to localhost only)"
            )
        return self

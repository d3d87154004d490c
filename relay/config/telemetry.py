"""Settings of logs, metrics and health."""

from typing import Literal

from pydantic import Field

from relay.config.base import ConfigModel, ListenAddress


class TelemetryConfig(ConfigModel):
    """Logs, metrics and health."""

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

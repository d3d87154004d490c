"""Settings of the consumer that hold for every destination."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from relay.config import validators as values
from relay.config.base import ConfigModel, Seconds

StartPosition = Annotated[Literal["earliest", "latest"] | datetime, BeforeValidator(values.parse_start)]


class ConsumerConfig(ConfigModel):
    """Settings that hold for every destination."""

    start: StartPosition = Field(
        default="earliest",
        description="Start of a destination's first run: `earliest`, `latest`, or a time.",
        examples=["2026-11-01T00:00:00Z"],
    )
    linger_seconds: Seconds = Field(
        default=1.0,
        ge=0,
        le=60,
        description="How long an event waits for others in the same request.",
        examples=[0.5],
    )

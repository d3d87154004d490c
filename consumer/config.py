from datetime import datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from relay.config import validators as values
from relay.config.base import ConfigModel, Seconds

StartPosition = Annotated[Literal["earliest", "latest"] | datetime, BeforeValidator(values.parse_start)]


class ConsumerConfig(ConfigModel):
    """What holds for every destination."""

    start: StartPosition = Field(
        default="earliest",
        description="Where a destination begins at its first start: `earliest`, `latest`, or a time.",
        examples=["2026-11-01T00:00:00Z"],
    )
    linger_seconds: Seconds = Field(
        default=1.0,
        ge=0,
        le=60,
        description="How long an event may wait for others to be sent with.",
        examples=[0.5],
    )

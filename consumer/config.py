from datetime import datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from relay.config import validators as values
from relay.config.base import Group, Seconds

Start = Annotated[Literal["earliest", "latest"] | datetime, BeforeValidator(values.start)]


class Consumer(Group):
    """What holds for every destination."""

    start: Start = Field(
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

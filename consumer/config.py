"""Settings of the consumer that hold for every destination, and those that each destination has for itself."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr

from relay.config import validators as values
from relay.config.base import ConfigModel, Count, Seconds

StartPosition = Annotated[
    Literal["recent", "earliest", "latest"] | datetime, BeforeValidator(values.parse_start)
]

Processes = Annotated[Count, Field(ge=1, le=64)]


class ConsumerConfig(ConfigModel):
    """Settings that hold for every destination."""

    start: StartPosition = Field(
        default="recent",
        description="Start of a destination's first run: `recent` (events of the last hour go to the live target, older ones to "
        "history), or, all as live events, `earliest`, `latest`, or a time.",
        examples=["2026-11-01T00:00:00Z"],
    )
    linger_seconds: Seconds = Field(
        default=1.0,
        ge=0,
        le=60,
        description="How long an event waits for others in the same request.",
        examples=[0.5],
    )
    processes: Literal["auto"] | Processes = Field(
        default="auto",
        description="Processes of `jira-relay consume`; each uses one core. `auto`: two where two cores and 1 GiB of memory are available "
        "(for each further destination 128 MiB more), else one. See [size](operations/sizing.md#several-processes).",
        examples=[1],
    )


class DestinationSettings(ConfigModel):
    """Settings that every kind of destination has; the settings of a kind extend them."""

    start: StartPosition | None = Field(
        default=None,
        description="Start of the first run: `recent`, `earliest`, `latest`, or a time. Not set: `consumer.start`.",
        examples=["latest"],
    )
    where: str | None = Field(
        default=None,
        description="SQL condition on one event; other events are skipped and counted. Not set: every event is sent. See "
        "[filters and privacy](destinations/filters.md).",
        examples=["category IN ('permissions', 'user management')"],
    )
    hide: dict[str, Literal["drop", "hash", "mask"]] = Field(
        default={},
        description="Columns to `drop`, `hash` or `mask` (addresses) before events are sent; `names` and `ids` are those of "
        "people in the objects. See [filters and privacy](destinations/filters.md).",
        examples=[{"remoteAddress": "mask", "authorAccountId": "hash", "names": "drop"}],
    )
    hide_key: SecretStr | None = Field(
        default=None,
        description="Secret of the rule `hash`, at least 32 characters (`openssl rand -hex 32`). The same key gives the same "
        "hashes, so use another one for each destination.",
        examples=["…"],
    )

"""The settings of polling; those of a source are in its folder, and `sources/catalogue.py` joins them."""

from pydantic import Field

from relay.config.base import ConfigModel, Count, Seconds


class ProducerConfig(ConfigModel):
    """Polling of sources."""

    interval_seconds: Seconds = Field(
        default=60,
        ge=1,
        le=86_400,
        description="Time between two rounds of an organization that has no interval of its own.",
        examples=[30],
    )
    settle_seconds: Seconds = Field(
        default=2,
        ge=0,
        le=300,
        description="Age a record must have before a round asks for it, so that records written at the same moment are seen together.",
        examples=[5],
    )
    overlap_seconds: Seconds = Field(
        default=900,
        ge=1,
        le=86_400,
        description="How far each round reads back, to find records that became visible late. A busy organization reads back as far as fits one page, at least a minute. Records that become visible later are found when the day or the week is read again.",
        examples=[1800],
    )
    reread_day_every_seconds: Seconds = Field(
        default=3600,
        ge=1,
        le=86_400,
        description="How often the last 24 hours are read again.",
        examples=[1800],
    )
    reread_week_every_seconds: Seconds = Field(
        default=86_400,
        ge=1,
        le=604_800,
        description="How often the last `late_days` days are read again.",
        examples=[43_200],
    )
    late_days: Count = Field(
        default=7,
        ge=1,
        le=30,
        description="How many days late a record may become visible and still be found.",
        examples=[14],
    )

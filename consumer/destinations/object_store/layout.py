"""What an object holds, and the folder it is in."""

from dataclasses import dataclass
from typing import Literal

import polars as pl

from consumer.destinations.contract import Flow
from consumer.destinations.object_store.config import ObjectStoreConfig
from consumer.destinations.object_store.names import Chain
from consumer.formats.ocsf import ocsf_columns

OFFSET = "kafka_offset"

_MAX_PAGE_BYTES = 1_000_000
"""Bytes of a data page before compression. Source: Amazon Security Lake, "Best practices for adding custom sources"."""


@dataclass(frozen=True, slots=True)
class ObjectFormat:
    """The columns of an object. Another format, or another layout, needs another prefix: the footer guards it by the name."""

    name: str
    """In the footer of each object."""
    shape: Literal["native", "ocsf"] = "native"
    page_bytes: int | None = None
    """None: as the library has it."""

    def columns(self, events: pl.DataFrame) -> pl.DataFrame:
        """Return the rows as an object holds them: those of OCSF are in the order of time."""
        if self.shape == "native":
            return events
        metadata = pl.col("metadata").struct.with_fields(pl.col(OFFSET).alias("sequence"))
        columns = pl.concat([ocsf_columns(events), events.select(OFFSET)], how="horizontal")
        return columns.with_columns(metadata).drop(OFFSET).sort("time", maintain_order=True)

    def check(self, events: pl.DataFrame) -> None:
        """Raise what `columns` raises for these events, which have no offsets yet.

        Here the delivery finds the one that fails, and makes it a dead letter; a body with it could never become an object.
        """
        if self.shape != "native":
            ocsf_columns(events)

    @property
    def key_columns(self) -> list[str]:
        """The columns that `keys` reads."""
        return [OFFSET, "uid"] if self.shape == "native" else ["metadata"]

    def keys(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return offset and uid of each row of an object, in the order of the offsets."""
        if self.shape == "native":
            return rows
        field = pl.col("metadata").struct.field
        return rows.select(field("sequence").alias(OFFSET), field("uid")).sort(OFFSET)


PLAIN = ObjectFormat("plain-1")
OCSF = ObjectFormat("ocsf-1", "ocsf", _MAX_PAGE_BYTES)


@dataclass(frozen=True, slots=True)
class Layout:
    """The objects of one flow. A row has one day, by a field that never changes, so a day is a log of its own."""

    folder: str
    """Folder of the days of events without a route."""
    format: ObjectFormat = PLAIN
    day_of: Literal["collected", "created"] = "collected"

    def chain(self, route: str | None, topic: str, partition: int) -> Chain:
        """Return the objects of a partition, or of those of its events that have a route."""
        folder = self.folder if route is None else f"{route}/{self.folder}"
        return Chain(folder, topic, partition, event_days=self.day_of == "created")


def flow_layouts(config: ObjectStoreConfig) -> dict[Flow, Layout]:
    """Return the layout of each flow; Security Lake has no history unless it has an account of its own."""
    format_ = OCSF if config.format == "ocsf" else PLAIN
    if config.layout == "daily":
        flows: tuple[Flow, ...] = ("live", "history")
        return {flow: Layout(flow, format_) for flow in flows}
    accounts: dict[Flow, str | None] = {"live": config.account_id, "history": config.history_account_id}
    return {
        flow: Layout(f"region={config.region}/accountId={account}", format_, "created")
        for flow, account in accounts.items()
        if account is not None
    }


def own_folders(config: ObjectStoreConfig) -> set[str]:
    """Return the folders of all flows and routes. Another destination with another `where` would write the same chains."""
    place = f"{config.endpoint or ''} {config.location}"
    return {
        f"{place}/{layout.chain(route, '', 0).folder}"
        for layout in flow_layouts(config).values()
        for route in (None, *config.by_organization.values())
    }

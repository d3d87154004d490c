"""What an object holds, and the folder it is in."""

import re
from dataclasses import dataclass
from typing import Literal

import polars as pl

from consumer.destinations.contract import Flow
from consumer.destinations.object_store.config import ObjectStoreConfig
from consumer.destinations.object_store.names import Chain
from consumer.formats.ocsf import ocsf_columns
from consumer.formats.replay_mark import REPLAY_ID, is_replayed

OFFSET = "kafka_offset"

PREVIOUS, WHERE, HIDDEN = "relay.previous", "relay.where", "relay.hidden"
"""Notes in a footer: the object before this one in its chain, the condition of its events, and the fields that are hidden."""

_REPLAY_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
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
        """Return the rows as an object holds them: those of OCSF are in the order of time.

        Objects of live events have the column of the replay too, without values: one query reads them and those of a replay.
        """
        if self.shape == "native":
            replay = pl.col(REPLAY_ID) if is_replayed(events) else pl.lit(None, pl.String).alias(REPLAY_ID)
            return events.select(pl.exclude(REPLAY_ID), replay)
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
    where: str = ""
    """The condition of the events; empty: an object has all of them."""
    hidden: str = ""
    """The fields whose values are hidden, for the footer."""
    replay_folders: bool = False
    """Whether a replay has a folder of its own, beside that of the flow. If not, its id begins the names of its objects."""

    @property
    def notes(self) -> dict[str, str]:
        """Return the notes in each footer: which events an object has, and which values."""
        return {WHERE: self.where, HIDDEN: self.hidden}

    def chain(self, route: str | None, topic: str, partition: int, replay: str | None = None) -> Chain:
        """Return the objects of a partition, or of those of its events that have a route.

        `replay`: the id of the job that sends them again; its objects are a log of their own. Raises ValueError for an id that
        cannot be a part of a name.
        """
        folder, replay_id = self.folder, None
        if replay is not None:
            if not _REPLAY_ID.fullmatch(replay):
                raise ValueError(f"a replay has the id {replay[:80]!r}, which cannot be a part of a name")
            folder, replay_id = (f"replay={replay}", None) if self.replay_folders else (folder, replay)
        folder = folder if route is None else f"{route}/{folder}"
        return Chain(folder, topic, partition, event_days=self.day_of == "created", replay=replay_id)


def flow_layouts(config: ObjectStoreConfig) -> dict[Flow, Layout]:
    """Return the layout of each flow; Security Lake has no history unless it has an account of its own.

    Its crawler allows no other folders than those of region, account and day. A replay that is sent to live on an operator's word
    goes to the folder of live events, where their readers look.
    """
    format_ = OCSF if config.format == "ocsf" else PLAIN
    where, hidden = config.where or "", ", ".join(sorted(config.hide))
    if config.layout == "daily":
        flows: tuple[Flow, ...] = ("live", "history")
        return {
            flow: Layout(flow, format_, where=where, hidden=hidden, replay_folders=flow == "history")
            for flow in flows
        }
    accounts: dict[Flow, str | None] = {"live": config.account_id, "history": config.history_account_id}
    return {
        flow: Layout(f"region={config.region}/accountId={account}", format_, "created", where, hidden)
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

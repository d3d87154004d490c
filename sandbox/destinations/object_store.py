"""A directory of Parquet objects."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import polars as pl

from sandbox.destinations.contract import Comparison, DeliveredRow, SettingValue
from sandbox.expected import JsonObject, native_row, row_differences

WINDOW_SECONDS = 2
MAX_ROW_BYTES = 1_000_000_000
"""No value of an object is truncated."""


def compare_row(row: Mapping[str, Any], event: JsonObject) -> Comparison:
    """Compare a row of an object with its event, as `DestinationPeer.compare` says."""
    return Comparison(*row_differences(native_row(event), row, MAX_ROW_BYTES, MAX_ROW_BYTES))


class DirectoryAway:
    """The directory has another name, as if its file system were not mounted; `cancel` gives it back."""

    played = 1

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._away = directory.with_name(f"{directory.name}-away")
        directory.rename(self._away)

    def cancel(self) -> None:
        """Give the directory back; a second call does nothing."""
        if self._away.exists():
            self._away.rename(self._directory)


class ObjectStorePeer:
    """A DestinationPeer before a directory."""

    keeps_one_copy = False
    members: Mapping[str, Sequence[str]] = {"id": ("id", "uid")}

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stored: dict[bool, list[DeliveredRow]] = {False: [], True: []}
        """Rows of live (False) and history (True), in the order in which their objects were seen."""
        self._seen: set[Path] = set()
        self._fault: DirectoryAway | None = None

    @property
    def settings(self) -> Mapping[str, SettingValue]:
        return {
            "kind": "object-store",
            "location": f"file://{self._directory}",
            "window_seconds": WINDOW_SECONDS,
        }

    @property
    def environment(self) -> Mapping[str, str]:
        return {}

    def place(self, *, history: bool) -> str:
        return "history" if history else "live"

    def rows(self, *, history: bool, start: int = 0) -> Sequence[DeliveredRow]:
        stored = self._stored[history]
        for path in sorted(self._paths(history=history)):
            if path not in self._seen:
                self._seen.add(path)
                stored += [
                    DeliveredRow(row["organization"], row["id"], row, history) for row in _read_rows(path)
                ]
        return stored[start:]

    def _paths(self, *, history: bool) -> Iterator[Path]:
        """Yield the objects of a flow; those of replays count as history, and have folders of their own."""
        folders = [self._directory / self.place(history=history)]
        if history:
            folders += self._directory.glob("replay=*")
        for folder in folders:
            yield from folder.rglob("*.parquet")

    def compare(self, row: Mapping[str, Any], event: JsonObject) -> Comparison:
        return compare_row(row, event)

    def losses(self) -> Iterable[str]:
        return ()

    def refuse(self) -> tuple[DirectoryAway, str]:
        self._fault = DirectoryAway(self._directory)
        return self._fault, "since its directory is away, as if it were not mounted"

    def clear_faults(self) -> None:
        if self._fault is not None:
            self._fault.cancel()


def _read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of an object, times as ms UTC."""
    times = pl.selectors.datetime().dt.epoch("ms")
    return pl.read_parquet(path, hive_partitioning=False).with_columns(times).to_dicts()


@asynccontextmanager
async def open_object_store(directory: Path) -> AsyncIterator[ObjectStorePeer]:
    await asyncio.to_thread(directory.mkdir)
    yield ObjectStorePeer(directory)

"""A store in memory that serves a budget of requests and rows."""

import io
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow.parquet

from consumer.destinations.object_store.store import Part, StoreFault
from consumer.destinations.outcome import Retry
from tests.support.parquet_objects import rows_of
from tests.support.scripted_store import folders_of, part_of

UNLIMITED = 1_000_000


@dataclass
class MeteredStore:
    """Objects in memory; an attempt may make `calls` requests and move `rows` rows, and then meets `fault`, or its time is over."""

    objects: dict[str, bytes] = field(default_factory=dict)
    calls: int = UNLIMITED
    rows: int = UNLIMITED
    fault: Retry | None = None

    async def create(self, key: str, content: bytes) -> bool:
        await self._spend(content)
        if key in self.objects:
            return False
        self.objects[key] = content
        return True

    async def read(self, key: str, start: int, stop: int) -> Part | None:
        content = self.objects.get(key, b"")
        await self._spend(content, len(content[start:stop]))
        return part_of(self.objects.get(key), start, stop)

    async def names(self, folder: str, after: str) -> AsyncIterator[str]:
        await self._spend(b"")
        for key in sorted(self.objects):
            if key.startswith(f"{folder}/") and key.removeprefix(f"{folder}/") > after:
                yield key.removeprefix(f"{folder}/")

    async def folders(self, folder: str) -> list[str]:
        await self._spend(b"")
        return folders_of(self.objects, folder)

    async def delete(self, key: str) -> None:
        self.objects.pop(key, None)

    async def close(self) -> None:
        pass

    def rows_of_objects(self) -> list[dict[str, Any]]:
        """Return the rows of all objects, of the format ocsf."""
        return rows_of({key: each for key, each in self.objects.items() if key.endswith(".parquet")})

    async def _spend(self, content: bytes, moving: int | None = None) -> None:
        moved = (
            pyarrow.parquet.read_metadata(io.BytesIO(content)).num_rows if content.startswith(b"PAR1") else 0
        )
        if moving is not None and moved:
            moved = moved * moving // len(content)
        self.calls, self.rows = self.calls - 1, self.rows - moved
        if min(self.calls, self.rows) >= 0:
            return
        if self.fault is not None:
            raise StoreFault(self.fault)
        raise TimeoutError("the time of the attempt is over")

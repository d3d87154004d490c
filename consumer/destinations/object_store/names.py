"""Names of objects: a function of partition and first row alone, so that two writers of a row meet at one name."""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_DAY = 2_932_896
"""9999-12-31, the last day that has a name of ten characters."""
DAY_FOLDER = re.compile(r"day=([0-9]{4}-[0-9]{2}-[0-9]{2})")
_FIRST = re.compile(r"([0-9]{20})\.parquet")
_OFFSETS = re.compile(r"([0-9]{20}-)*[0-9]{20}\.parquet")


def day_name(days: int) -> str:
    """Return the day that is `days` days after 1970-01-01. Kafka accepts any timestamp: days without a name are the nearest one."""
    return (_EPOCH + timedelta(days=min(max(days, 0), LAST_DAY))).strftime("%Y-%m-%d")


def offsets_in(name: str) -> tuple[int, ...]:
    """Return the offsets in the end of a file name, behind topic and partition; none: it is no object of events."""
    return tuple(map(int, name.removesuffix(".parquet").split("-"))) if _OFFSETS.fullmatch(name) else ()


def replay_stem(replay: str) -> str:
    """Return the beginning of the names of a replay's objects that share a folder with others; empty: of any replay's."""
    return f"replay={replay}"


@dataclass(frozen=True, slots=True)
class Chain:
    """The objects of one partition within one folder. Their rows do not overlap, and each begins where another ended."""

    folder: str
    """Folder of the days, without a slash at either end."""
    topic: str
    partition: int
    gaps_of: tuple[int, ...] = ()
    """First offset of the object whose gaps the chain fills, behind those of the objects whose gaps hold that one."""
    event_days: bool = False
    """Whether folders are named as Amazon Security Lake has them, which are the days of the events themselves."""
    replay: str | None = None
    """Id of the replay whose objects share the folder with others; None: they are no replay, or have a folder of their own."""

    @property
    def stem(self) -> str:
        """Beginning of each file name; no other chain of the folder has a name that goes on with an offset alone.

        No topic has a name with the sign `=`.
        """
        job = "" if self.replay is None else f"{replay_stem(self.replay)}-"
        outer = "".join(f"{first:020d}-" for first in self.gaps_of)
        return f"{job}{self.topic}-{self.partition:05d}-{outer}"

    def in_gaps_of(self, first: int) -> "Chain":
        """Return the chain of the rows that lie within the object that begins at `first`, and are not in it."""
        return replace(self, gaps_of=(*self.gaps_of, first))

    def day_folder(self, days: int) -> str:
        """Return the folder of a day."""
        name = day_name(days)
        return (
            f"{self.folder}/eventDay={name.replace('-', '')}"
            if self.event_days
            else f"{self.folder}/day={name}"
        )

    def name(self, first: int) -> str:
        """Return the file name of the object whose first row has the offset `first`. Names sort as offsets do."""
        return f"{self.stem}{first:020d}.parquet"

    def first_offset(self, name: str) -> int | None:
        """Return the first offset of an object of this chain; None: the name is not one of them."""
        if not name.startswith(self.stem):
            return None
        found = _FIRST.fullmatch(name[len(self.stem) :])
        return int(found[1]) if found else None

"""A store in memory whose requests wait until a test says what becomes of each, and owners of a partition that write to it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from consumer.destinations.object_store.layout import OFFSET, Layout
from consumer.destinations.object_store.names import Chain
from consumer.destinations.object_store.store import Part, StoreFault
from consumer.destinations.object_store.writer import ChainWriter, Progress
from consumer.destinations.outcome import Retry

Fate = Literal["answered", "lost answer", "no effect"]
DAILY, EVENT_DAYS = Layout("live"), Layout("region=eu-west-1/accountId=external", day_of="created")
CHAIN = Chain("live", "events", 0)
DAY_MS = 86_400_000


def part_of(content: bytes | None, start: int, stop: int) -> Part | None:
    """Return a range of an object; None: there is none."""
    return None if content is None else Part(content[start:stop], len(content))


def folders_of(objects: Iterable[str], folder: str) -> list[str]:
    """Return the names of the folders in a folder, by the keys of the objects."""
    below = (
        key.removeprefix(f"{folder}/" if folder else "")
        for key in objects
        if not folder or key.startswith(f"{folder}/")
    )
    return sorted({rest.partition("/")[0] for rest in below if "/" in rest})


@dataclass
class Request:
    """A request under way: `effect` is what the store does when the request arrives."""

    effect: Callable[[], Any]
    answer: "asyncio.Future[Any]"

    def arrive(self, fate: Fate) -> None:
        """Let the request have its effect, unless it is lost, and its answer, unless that is lost or nobody waits."""
        value = None if fate == "no effect" else self.effect()
        if self.answer.done():
            return
        if fate == "answered":
            self.answer.set_result(value)
        else:
            self.answer.set_exception(StoreFault(Retry(fate)))


@dataclass
class ScriptedStore:
    """The objects, and the requests that have not arrived; a request of a dead process may still arrive."""

    objects: dict[str, bytes] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    async def create(self, key: str, content: bytes) -> bool:
        return bool(await self._request(lambda: self._create(key, content)))

    async def read(self, key: str, start: int, stop: int) -> Part | None:
        found: Part | None = await self._request(lambda: part_of(self.objects.get(key), start, stop))
        return found

    async def names(self, folder: str, after: str) -> AsyncIterator[str]:
        def listed() -> list[str]:
            names = (key.removeprefix(f"{folder}/") for key in self.objects if key.startswith(f"{folder}/"))
            return sorted(name for name in names if name > after)

        for name in await self._request(listed):
            yield name

    async def folders(self, folder: str) -> list[str]:
        return list(await self._request(lambda: folders_of(self.objects, folder)))

    async def delete(self, key: str) -> None:
        await self._request(lambda: self.objects.pop(key, None))

    async def close(self) -> None:
        pass

    def _create(self, key: str, content: bytes) -> bool:
        if key in self.objects:
            return False
        self.objects[key] = content
        return True

    async def _request(self, effect: Callable[[], Any]) -> Any:
        answer = asyncio.get_running_loop().create_future()
        self.requests.append(Request(effect, answer))
        return await answer


@dataclass
class Partition:
    """A log, and the offset that its group has committed."""

    log: pl.DataFrame
    """uid, times of collection and of the event, and offset of each record."""
    committed: int = 0
    owner: int = 0
    layout: Layout = DAILY
    sends_rest: bool = False
    """Whether an owner sends the rows alone that are in no object after a fault, as the delivery does, or the whole body."""

    def after(self, offset: int, count: int) -> pl.DataFrame:
        """Return the first records from an offset on."""
        return self.log.filter(pl.col(OFFSET) >= offset).head(count)


async def own(partition: Partition, store: ScriptedStore, number: int, sizes: Callable[[], int]) -> None:
    """Deliver the partition as its owner `number`, in bodies of these sizes, and commit while it is the owner.

    It goes on when it is the owner no longer, as a process may that was frozen: only its commits are refused.
    """
    writer, position = ChainWriter(store, "lake", "memory://", partition.layout), partition.committed
    chain = partition.layout.chain(None, CHAIN.topic, CHAIN.partition)
    while (events := partition.after(position, sizes())).height:
        end = int(events[OFFSET][-1]) + 1
        while events.height:
            progress = Progress()
            try:
                await writer.write(chain, events, progress)
            except StoreFault:
                if not partition.sends_rest:
                    break
            left = [place for place in range(events.height) if place not in progress.places]
            events = events[left]
        else:
            position = end
            if partition.owner == number:
                partition.committed = position

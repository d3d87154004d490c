"""One flow of an object store as a destination."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from uuid import uuid4

import polars as pl

from consumer.destinations.contract import Body, BodyFormat, Destination, Flow, Limits
from consumer.destinations.object_store import rows
from consumer.destinations.object_store.config import ObjectStoreConfig
from consumer.destinations.object_store.layout import Layout, flow_layouts
from consumer.destinations.object_store.opening import open_store
from consumer.destinations.object_store.response import condition_ignored
from consumer.destinations.object_store.store import Store, StoreFault
from consumer.destinations.object_store.writer import ChainWriter, Progress
from consumer.destinations.outcome import Outcome, Partial, Retry, Sent
from consumer.formats.column_rows import ColumnRows
from relay.errors import describe, one_line

CHECKS = "_relay/checks"
"""Folder of the objects that prove create-if-absent."""
CHECK_ATTEMPTS = 3


class ObjectStoreDestination:
    """Writes the objects of one flow. A body may become several objects: one a day, and fewer rows where others exist.

    All of them exist when `send` returns Sent; after a fault its outcome names the rows that are in none yet.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        config: ObjectStoreConfig,
        flow: Flow,
        layout: Layout,
        timeout_seconds: float,
    ) -> None:
        self._store = store
        self._name = name
        self._url = config.location
        self._layout = layout
        self._timeout_seconds = timeout_seconds
        self._writer = ChainWriter(store, name, config.location, layout, timeout_seconds / 4)
        self._condition_proved = False
        self._too_slow = Retry(
            f"{config.location} did not finish the requests for one object within {timeout_seconds:g} s."
        )
        self.limits = Limits(
            BodyFormat(config.max_bytes, max_rows=config.max_rows),
            linger_seconds=config.window_seconds,
            in_flight_bytes=config.max_bytes,
            in_flight_bodies=1,  # the exactly-once argument of writer.py needs one body of a chain at a time
            max_uncommitted=2 * config.max_rows,
            request_timeout_seconds=timeout_seconds,
            single_partition=True,
            routes=config.by_organization,
        )
        self.address = f"{config.location} ({flow})"
        self.config_hint = f"Check destinations.{name}.location, and the rights of the relay there."

    def encode(self, events: pl.DataFrame) -> ColumnRows:
        self._layout.format.check(events)
        return rows.encode_rows(events)

    def body(self, rows_to_send: ColumnRows) -> bytes:
        return rows.encode_body(rows_to_send)

    async def send(self, body: Body) -> Outcome:
        progress = Progress()
        outcome = await self._within_time(self._send(body, progress))
        if progress.places and isinstance(outcome, Retry):
            return self._rest_to_retry(outcome, progress.places, body.rows)
        if outcome == self._too_slow:
            self._writer.size.record_late(body.rows)
        return outcome

    def _rest_to_retry(self, outcome: Retry, done: set[int], count: int) -> Outcome:
        """Return the outcome of a body of which some rows are in objects: else each attempt would look for them again.

        A body can lie over hundreds of objects, as after a reset of the group: more than fit into the time of one attempt.
        """
        rest, out_of_time = frozenset(range(count)) - done, outcome == self._too_slow
        if not rest:
            return Sent()
        return Partial(
            retry=rest,
            after=outcome.after,
            status=outcome.status,
            reason=outcome.reason,
            unprocessed=out_of_time,
        )

    async def probe(self) -> Outcome:
        """Create an object twice, list and read it, and delete it."""
        return await self._within_time(self._prove())

    async def _within_time(self, work: Awaitable[None]) -> Outcome:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await work
        except TimeoutError:
            return self._too_slow
        except StoreFault as fault:
            return fault.outcome
        except Exception as error:  # noqa: BLE001 - the libraries below raise more than they document
            return Retry(f"A request to {self._url} failed: {one_line(describe(error))}.")
        return Sent()

    async def _send(self, body: Body, progress: Progress) -> None:
        if not self._condition_proved:
            await self._prove()
        (offsets,) = body.offsets
        events = await asyncio.to_thread(rows.read_body, body.content, body.row_offsets)
        chain = self._layout.chain(body.route, offsets.topic, offsets.partition, body.replay)
        await self._writer.write(chain, events, progress)

    async def _prove(self) -> None:
        """Prove that the store creates only what is absent, and that the relay may read and list. Raises StoreFault.

        An answer that the name is taken proves it. Another process may delete a check in between, but hardly three times.
        """
        key = f"{CHECKS}/{uuid4().hex}"
        for _ in range(CHECK_ATTEMPTS):
            if not await self._store.create(key, b"A check of the Jira Audit Relay; delete it."):
                break
        else:
            raise StoreFault(condition_ignored(self._url, self._name))
        await self._store.read(key, 0, 1)
        async for _ in self._store.names(CHECKS, key.rpartition("/")[2][:-1]):
            break
        await self._store.delete(key)
        self._condition_proved = True


@asynccontextmanager
async def open_object_store(
    name: str, config: ObjectStoreConfig, request_timeout_seconds: float
) -> AsyncIterator[Mapping[Flow, Destination]]:
    """Open the store of the settings. Raises RelayError for settings or files that cannot be used."""
    store = open_store(name, config, request_timeout_seconds)
    try:
        yield {
            flow: ObjectStoreDestination(store, name, config, flow, layout, request_timeout_seconds)
            for flow, layout in flow_layouts(config).items()
        }
    finally:
        await store.close()

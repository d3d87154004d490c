"""One action on several organizations: pause, resume or test them, each with a result of its own."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from management.connection_test import verify_connection
from management.context import OperatorContext
from management.organizations.editor import edit_organization
from management.organizations.results import ChangeFailure, ChangeResult
from management.organizations.store import (
    kafka_errors_as_relay_errors,
    read_organizations,
    require_existing,
)
from relay.aio import cancel_all, finish
from relay.errors import RelayError
from relay.kafka.topic_admin import read_shard_count
from relay.kafka.topics import partition_of
from relay.organizations import Organization

BulkAction = Literal["pause", "resume", "test"]
BulkOutcome = ChangeResult | ChangeFailure

_STATES: Mapping[str, tuple[str, str]] = {"pause": ("paused", "paused"), "resume": ("active", "resumed")}
"""The state, and the word in the history of changes."""


@dataclass(frozen=True, slots=True)
class BulkTiming:
    """`seconds`: after them no further organization is begun. `lanes`: how many are worked on at once."""

    seconds: float = 300.0
    lanes: int = 8


async def run_bulk(
    context: OperatorContext, names: Sequence[str], action: BulkAction, timing: BulkTiming | None = None
) -> AsyncIterator[BulkOutcome]:
    """Yield the outcome of each organization as soon as it is known. One failure stops no other.

    A change that has begun is finished when the caller stops; the others are then not made. Raises RelayError, before
    anything is done, if the organizations cannot be read.
    """
    timing = timing or BulkTiming()
    wanted = list(dict.fromkeys(names))
    run = _BulkRun(context, action, await read_organizations(context.connection), timing)
    tasks = [asyncio.create_task(run.work(lane)) for lane in await run.lanes(wanted)]
    try:
        for _ in wanted:
            yield await _next_outcome(run.outcomes, tasks)
    finally:
        await cancel_all(tasks)


async def _next_outcome(
    outcomes: asyncio.Queue[BulkOutcome], tasks: Sequence[asyncio.Task[None]]
) -> BulkOutcome:
    """Return the next outcome. Raises what ended a task: its organizations would be waited for without end."""
    getting = asyncio.create_task(outcomes.get())
    try:
        while not getting.done():
            working = [each for each in tasks if not each.done()]
            for task in tasks:
                if task.done():
                    task.result()
            await asyncio.wait([getting, *working], return_when=asyncio.FIRST_COMPLETED)
        return getting.result()
    finally:
        getting.cancel()


class _BulkRun:
    """The work on one request. Organizations of one partition are edited one after the other: their editors fence each other."""

    def __init__(
        self,
        context: OperatorContext,
        action: BulkAction,
        organizations: Mapping[str, Organization],
        timing: BulkTiming,
    ) -> None:
        self._context = context
        self._action = action
        self._organizations = organizations
        self._timing = timing
        self._ends_at = time.monotonic() + timing.seconds
        self.outcomes: asyncio.Queue[BulkOutcome] = asyncio.Queue()

    async def lanes(self, names: Sequence[str]) -> list[list[str]]:
        """Return the names in at most `timing.lanes` lists, those of a partition in one."""
        if self._action == "test":
            return [list(names[start :: self._timing.lanes]) for start in range(self._timing.lanes)]
        with kafka_errors_as_relay_errors(self._context.connection):
            shards = await read_shard_count(self._context.connection)
        lanes: list[list[str]] = [[] for _ in range(self._timing.lanes)]
        for name in names:
            lanes[partition_of(name, shards) % self._timing.lanes].append(name)
        return lanes

    async def work(self, names: Sequence[str]) -> None:
        for name in names:
            self.outcomes.put_nowait(await self._outcome(name))

    async def _outcome(self, name: str) -> BulkOutcome:
        if time.monotonic() >= self._ends_at:
            return ChangeFailure(
                name,
                f"Not begun within {self._timing.seconds:g} s. Nothing was changed; repeat it for this organization.",
            )
        try:
            organization = require_existing(self._organizations.get(name), name)
            if self._action == "test":
                return ChangeResult(
                    name,
                    "tested",
                    (await verify_connection(self._context, organization, self._organizations),),
                )
            return await self._set_state(organization)
        except RelayError as error:
            return ChangeFailure(name, str(error))

    async def _set_state(self, organization: Organization) -> ChangeResult:
        name, (state, word) = organization.name, _STATES[self._action]
        if organization.state == state:
            return ChangeResult(name, "unchanged", (f"The organization is already {state}.",))

        def changed(current: Organization | None) -> Organization:
            return replace(require_existing(current, name), state=state)

        await finish(
            edit_organization(
                self._context.connection,
                name,
                changed,
                action=word,
                author=self._context.author,
                now_ms=self._context.now_ms(),
                timing=self._context.timing.edit,
            )
        )
        return ChangeResult(name, word)

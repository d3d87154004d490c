"""The replays of an installation as their topic has them now, kept current for readers that ask often."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from management.organizations.store import kafka_errors_as_relay_errors
from management.replay.signs import SignsOfLife
from management.replay.view import ReplayView
from relay.aio import cancellation_requested
from relay.errors import RelayError
from relay.kafka.connection import Connection
from relay.kafka.followed_tables import FollowedTables, records_of
from relay.kafka.topics import Topics
from relay.replays.job import KnownReplay
from relay.replays.store import ReplayTable, supersedes


@dataclass(frozen=True, slots=True)
class ReplaySnapshot:
    """The replays at one instant, the newest first. `problems`: a sentence for each record and batch that cannot be read.

    `failure`: why the topic cannot be read now; None: it can. An installation of an earlier release does not have it.
    """

    known: Sequence[KnownReplay] = ()
    problems: Sequence[str] = ()
    failure: str | None = None
    signs: SignsOfLife | None = None
    """What its reader has seen of those who work on the replays; None: nothing, as while the topic cannot be read."""

    def views(self, now_ms: int) -> list[ReplayView]:
        """Return the replays as an operator sees them at `now_ms` (ms UTC)."""
        return [
            ReplayView(each, now_ms, None if self.signs is None else self.signs.silent_ms(each.job.id))
            for each in self.known
        ]


class LiveReplays:
    """Follows the topic of replays. It has consumers of its own: without this topic, the others can be read."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._topic = Topics(connection.kafka.topic_prefix).replays
        self._tables = FollowedTables(connection, {self._topic: supersedes})
        self._signs = SignsOfLife()
        self.snapshot = ReplaySnapshot()

    async def refresh(self, seconds: float) -> None:
        """Look at the topic, for at most `seconds`. A failure leaves the former replays, and its reason in the snapshot."""
        before = self.snapshot
        try:
            with kafka_errors_as_relay_errors(self._connection):
                async with asyncio.timeout(seconds):
                    changed = await self._tables.refresh()
        except asyncio.CancelledError:
            if cancellation_requested():
                raise
            return  # aiokafka has cancelled it, though nobody asked; the next look reads again
        except RelayError as error:
            self._signs = SignsOfLife()
            self.snapshot = ReplaySnapshot(before.known, before.problems, str(error))
            return
        if changed:
            before = self._read()
        self._signs.note(before.known)
        self.snapshot = ReplaySnapshot(before.known, before.problems, signs=self._signs)

    async def close(self) -> None:
        await self._tables.close()

    def _read(self) -> ReplaySnapshot:
        table, followed = ReplayTable(), self._tables.table(self._topic)
        for record in sorted(records_of(followed), key=lambda each: each.offset):
            table.apply(record)
        problems = [text for _, text in sorted(table.unreadable.items())]
        batches = {error.next_offset: error for error in followed.corrupt_batches}
        problems += [f"{error} Replays of this batch are missing here." for error in batches.values()]
        return ReplaySnapshot([each for _, each in sorted(table.jobs.items(), reverse=True)], problems)

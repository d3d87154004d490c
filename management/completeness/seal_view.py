"""The seals of an installation, followed for readers that ask often: each look reads what is new on their topic."""

from collections.abc import Callable

from management.completeness.seal_index import OrganizationSeals, SealIndex
from management.topic_follower import FollowerTiming, ReadState, TopicFollower
from relay.kafka import Record
from relay.kafka.connection import Connection
from relay.kafka.topics import Topics
from relay.timestamps import DAY_MS, day_of

_ALL = 1 << 62
"""Offsets before the end that the first look reads: a chain is verified from its first seal on."""
FOLLOWING = FollowerTiming(fresh_seconds=2.0, read_seconds=20.0, forget_seconds=DAY_MS / 1000)
"""A first look at a long topic takes several readings: each goes on where the one before ended."""
PATIENT = FollowerTiming(read_seconds=600.0)
"""For a command, which looks once."""


class SealView:
    """It keeps nothing that is not on the topic."""

    def __init__(
        self, connection: Connection, now_ms: Callable[[], int], timing: FollowerTiming = FOLLOWING
    ) -> None:
        self._connection, self._now_ms, self._timing = connection, now_ms, timing
        self._follow()

    def _follow(self) -> None:
        self._newest_ms = self._now_ms()
        topic = Topics(self._connection.kafka.topic_prefix).seals
        self._follower = TopicFollower(
            self._connection, [topic], _ALL, self._now_ms, self._take, self._reset, self._timing
        )
        self._reset()

    async def refresh(self) -> ReadState:
        """Read what is new. A failure leaves what was read before, and its reason in the state."""
        if self._now_ms() < self._newest_ms - DAY_MS:
            self._follow()  # the clock was ahead, and days may have been forgotten for those that it took for old ones
        self._newest_ms = max(self._newest_ms, self._now_ms())
        return await self._follower.refresh()

    @property
    def unread_batches(self) -> list[str]:
        """A sentence for each batch that cannot be read. It may hide the newest seals."""
        return [*self._follower.problems.values()]

    @property
    def problems(self) -> list[str]:
        """Sentences about what cannot be read."""
        return [*self.unread_batches, *self.index.problems]

    def of(self, organization: str) -> OrganizationSeals:
        """Return the days of an organization."""
        return self.index.organizations.get(organization, OrganizationSeals(organization))

    def _take(self, record: Record) -> None:
        self.index.take(record)

    def _reset(self) -> None:
        self.index = SealIndex(lambda: day_of(self._now_ms()))

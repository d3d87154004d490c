"""The seals of an installation, followed for readers that ask often: each look reads what is new on their topic."""

from collections.abc import Callable

from management.completeness.seal_index import OrganizationSeals, SealIndex
from management.topic_follower import FollowerTiming, ReadState, TopicFollower
from relay.kafka import Record
from relay.kafka.connection import Connection
from relay.kafka.topics import Topics
from relay.timestamps import DAY_MS

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
        self.index = SealIndex()
        topic = Topics(connection.kafka.topic_prefix).seals
        self._follower = TopicFollower(connection, [topic], _ALL, now_ms, self._take, self._reset, timing)

    async def refresh(self) -> ReadState:
        """Read what is new. A failure leaves what was read before, and its reason in the state."""
        return await self._follower.refresh()

    @property
    def problems(self) -> list[str]:
        """Sentences about what cannot be read."""
        return [*self._follower.problems.values(), *self.index.problems]

    def of(self, organization: str) -> OrganizationSeals:
        """Return the days of an organization."""
        return self.index.organizations.get(organization, OrganizationSeals(organization))

    def _take(self, record: Record) -> None:
        self.index.take(record)

    def _reset(self) -> None:
        self.index = SealIndex()

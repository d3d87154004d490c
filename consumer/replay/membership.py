"""The membership of one process in the group that owns the replays of a destination."""

import asyncio
from collections import Counter
from collections.abc import Mapping

from consumer.destinations.contract import DestinationConfig
from consumer.group_names import replays_group
from consumer.metrics import ConsumerMetrics
from consumer.replay.job_opener import DestinationParts, JobOpener
from consumer.replay.owned_replays import OwnedReplays
from consumer.replay.owner import ReplayOwner
from consumer.replay.place_keeper import ProgressLog
from consumer.replay.source_opener import SourceOpener
from consumer.timing import ConsumerTiming
from consumer.topic_settings import TopicSettings
from relay.kafka.connection import Connection
from relay.kafka.consumer_group import Member
from relay.kafka.producer import RecordWriter
from relay.kafka.topics import Topics
from relay.replays.job import State
from relay.replays.store import ReplayStore, no_topic_text


class ReplayMembership:
    """Joins the group once the topic of replays exists: an installation of an earlier release has none, and delivers as before."""

    def __init__(
        self,
        owner: ReplayOwner,
        member: Member,
        topic: str,
        topic_settings: TopicSettings,
        check_seconds: float,
    ) -> None:
        self._owner = owner
        self._member = member
        self._topic = topic
        self._topic_settings = topic_settings
        self._check_seconds = check_seconds
        self._absence: str | None = None

    async def run(self) -> None:
        """Be a member until cancelled."""
        while (absence := self._topic_settings.absence(self._topic)) is not None:
            self._absence = no_topic_text(self._topic, absence)
            await asyncio.sleep(self._check_seconds)
        self._absence = None
        await self._member.run()

    async def stop(self, seconds: float) -> None:
        """Own no replay any more; wait for answers within `seconds`."""
        await self._owner.stop(seconds)

    def states(self) -> Mapping[str, State]:
        """Return the state of each replay that this process has, by id."""
        return self._owner.states()

    @property
    def owns(self) -> bool:
        """Whether this process has the replays of the destination, as far as it knows."""
        return self._owner.owns

    @property
    def notice(self) -> str | None:
        """What the status of the destination says about its replays; None: nothing."""
        if (problem := self._absence or self._owner.problem) is not None:
            return problem
        counts = Counter(self.states().values())
        counted = [f"{counts[state]} {state}" for state in ("running", "waiting", "paused") if counts[state]]
        found = f"Replays: {', '.join(counted)}. See `jira-relay replay list`." if counted else None
        return " ".join(filter(None, (self._owner.notice, found))) or None


def build_replays(
    parts: DestinationParts,
    connection: Connection,
    topics: Topics,
    archives: Mapping[str, DestinationConfig],
    writer: RecordWriter,
    timing: ConsumerTiming,
    rebalance_seconds: float,
    metrics: ConsumerMetrics,
) -> ReplayMembership:
    """Return the membership for one destination. `archives`: destinations whose objects may be read; `writer`: for progress alone."""
    sources = SourceOpener(*(connection, topics, archives, parts.config.where, parts.writer, parts.schemas))
    opener = JobOpener(parts, sources, timing)
    store = ReplayStore(connection, topics.replays, writer)

    def report(states: Mapping[str, State] | None) -> None:
        metrics.set_replays(parts.name, Counter(states.values()) if states else None)

    def open_owned(log: ProgressLog) -> OwnedReplays:
        return OwnedReplays(parts.name, opener, log, timing.replay, report)

    owner = ReplayOwner(parts.name, open_owned, store.write_progress, timing.replay)
    member = Member(
        connection,
        replays_group(topics.prefix, parts.name),
        topics.replays,
        owner,
        rebalance_seconds=rebalance_seconds,
    )
    return ReplayMembership(owner, member, topics.replays, parts.topic_settings, timing.replay.retry_seconds)

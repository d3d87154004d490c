"""The events that replays have delivered to a destination after an operator had skipped them. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from management.completeness.topic_scan import PlacedEvent
from relay.kafka.topics import Topics
from relay.replays.job import KnownReplay, ReplayJob, ReplayProgress
from relay.timestamps import DAY_MS, day_start


@dataclass(frozen=True, slots=True)
class ReplayedEvents:
    """The finished replays of one destination that have delivered all they were to."""

    jobs: tuple[ReplayJob, ...]
    topics: Topics

    def has(self, event: PlacedEvent, organization: str, day: str) -> bool:
        """Return whether a replay has delivered an event. `day`: of its `created`, UTC."""
        return any(self._delivers(job, event, organization, day) for job in self.jobs)

    def _delivers(self, job: ReplayJob, event: PlacedEvent, organization: str, day: str) -> bool:
        topic = self.topics.events if event.place.topic == "events" else self.topics.backfill
        place = event.place.partition, event.place.offset
        in_ranges = any(
            (each.topic, each.partition) == (topic, place[0]) and each.start <= place[1] < each.end
            for each in job.ranges
        )
        if not in_ranges or (job.organizations and organization not in job.organizations):
            return False
        if job.events and f"{organization}/{event.key.id}" not in job.events:
            return False
        first, last = event.collected, event.collected
        if job.by == "created":  # the instant is not at hand, so the whole day must be in the period
            first, last = day_start(day), day_start(day) + DAY_MS - 1
        return (job.from_ms is None or job.from_ms <= first) and (job.to_ms is None or last < job.to_ms)


NO_REPLAYS = ReplayedEvents((), Topics(""))


def replayed_to(
    destination: str, targets: Collection[str | None], replays: Iterable[KnownReplay], topics: Topics
) -> ReplayedEvents:
    """Return what replays have delivered to a destination. `targets`: where its events go now; one that went elsewhere counts for none.

    A condition, or a record that was lost or could not be sent, leaves open which events were delivered: such a replay counts for none,
    and so does one of a later release that chooses them in another way.
    A dead letter of a replay is one of its event, which counts first.
    """
    return ReplayedEvents(
        tuple(
            each.job
            for each in replays
            if each.job.destination == destination
            and each.job.target is not None
            and each.job.target in targets
            and each.job.content == "events"
            and each.job.unknown_word is None
            and each.job.where is None
            and each.progress is not None
            and _is_whole(each.progress)
        ),
        topics,
    )


def _is_whole(progress: ReplayProgress) -> bool:
    return progress.state == "done" and not progress.lost and not progress.skips

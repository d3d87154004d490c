"""Ask destinations whether they still have what they accepted."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from consumer.destinations.catalogue import DESTINATIONS
from consumer.destinations.contract import DestinationConfig
from consumer.destinations.read_back import (
    AcceptedEvents,
    EventPlace,
    ReadBack,
    ReadBackError,
    ReadBackSettings,
)
from consumer.offsets.backup import destination_status_key
from management.completeness.counted_day import Counted, CountedDay
from management.completeness.proof import DeliveryDay
from management.completeness.read_back_day import ReadBackDay, id_of_uid
from management.completeness.topic_scan import PlacedEvent
from management.destination_day import DestinationDay, processes_by_destination
from management.organizations.store import kafka_errors_as_relay_errors
from relay.kafka.connection import Connection
from relay.kafka.topics import Topics
from relay.status.reader import read_statuses
from relay.status.slots import SLOT_MS
from relay.timestamps import DAY_MS, HOUR_MS, day_start

SETTLE_MS = HOUR_MS
"""An event that was accepted later may not show yet. Azure Monitor's ingestion takes up to some minutes, seldom longer."""


async def with_read_back(
    counted: Counted,
    organization: str,
    destinations: Mapping[str, DestinationConfig],
    connection: Connection,
    now_ms: int,
) -> Counted:
    """Return the accounts with what the destinations still have. Raises RelayError, also for settings that cannot work."""
    wanted = {
        name: config
        for name, config in destinations.items()
        if isinstance(config, ReadBackSettings) and config.read_back
    }
    if not wanted:
        return counted
    topics = Topics(connection.kafka.topic_prefix)
    with kafka_errors_as_relay_errors(connection):
        statuses = await read_statuses(connection, topics.status)
    processes = processes_by_destination(statuses)
    days = dict(counted.days)
    async with AsyncExitStack() as stack:
        for name, config in wanted.items():
            if (opened := DESTINATIONS[config.kind].read_back) is None:
                continue
            reader = await stack.enter_async_context(opened(name, config))
            delivered = DestinationDay(statuses.get(destination_status_key(name)), processes.get(name, ()))
            settled = settled_before(delivered, now_ms)
            destination = _Destination(name, config.read_back_days, reader, topics, settled)
            for day, each in days.items():
                days[day] = await destination.read(each, organization, day, now_ms)
    return replace(counted, days=days)


def settled_before(delivered: DestinationDay, now_ms: int) -> int:
    """Return the instant (ms UTC) before which an event was collected that must show by now. Pure.

    The time of an acceptance is not recorded. But each event that is older than the oldest one that waited an hour ago had been
    accepted then. Where that is not known, a destination that has accepted anything since may have accepted any event since.
    """
    hour_ago = now_ms - SETTLE_MS
    end = hour_ago - hour_ago % SLOT_MS
    age = next((each.age for each in delivered.slots(now_ms) if each.start == end - SLOT_MS), None)
    if age is not None:
        return end - age
    counts = [each.count for each in delivered.last_day(now_ms) if each.start + HOUR_MS > hour_ago]
    return 0 if any(each is not None and each.events for each in counts) else hour_ago


@dataclass(frozen=True, slots=True)
class _Destination:
    name: str
    days: int
    reader: ReadBack
    topics: Topics
    settled: int

    async def read(self, counted: CountedDay, organization: str, day: str, now_ms: int) -> CountedDay:
        """Return the account of a day with what the destination has of it."""
        account, start = counted.account, day_start(day)
        accepted = account.destinations.get(self.name, DeliveryDay()).accepted
        if not accepted:
            return counted
        if now_ms - start > self.days * DAY_MS:
            found = ReadBackDay(failure=f"the day is more than read_back_days ({self.days}) ago.")
        else:
            found = await self._ask(organization, start, accepted)
        return replace(counted, account=replace(account, read_back={**account.read_back, self.name: found}))

    async def _ask(self, organization: str, start: int, accepted: Sequence[PlacedEvent]) -> ReadBackDay:
        by_uid = {each.uid(organization): each for each in accepted}
        try:
            places = {uid: self._place(each) for uid, each in by_uid.items()}
            missing = await self.reader.missing(AcceptedEvents(organization, start, start + DAY_MS, places))
        except ReadBackError as error:
            return ReadBackDay(len(by_uid), failure=str(error))
        old = [uid for uid in missing if by_uid[uid].collected <= self.settled]
        old.sort(key=lambda uid: (id_of_uid(uid), uid))
        return ReadBackDay(len(by_uid), old, len(missing) - len(old))

    def _place(self, event: PlacedEvent) -> EventPlace:
        topic = self.topics.events if event.place.topic == "events" else self.topics.backfill
        return EventPlace(topic, event.place.partition, event.place.offset, event.collected)

"""What one process writes on its delivery to a destination, so that its day outlives it."""

import asyncio
from dataclasses import replace

import pytest

from consumer.delivery_history import RECENT_SECONDS, SETTLING_MS, DeliveryHistory
from management.destination_day import DestinationDay, processes_by_destination
from relay.status.model import HOUR_MS, DeliveryReport, HourCount, RecentEvents, RetriedRequest
from relay.status.reader import read_statuses
from relay.status.slots import SLOT_MS, DeliverySlot
from relay.status.writer import StatusWriter
from relay.timestamps import now_ms
from tests.consumer.test_status_reporter import running_pipeline
from tests.support.pipeline_world import pipeline_world, some_events
from tests.support.views import NOW

HOUR, QUARTER = NOW - NOW % HOUR_MS, NOW - NOW % SLOT_MS
IDLE = DeliveryReport("soc", NOW, known=True)


def process(started=NOW, status_writer=None):
    """Return the history of a process with two flows, the states of the flows, and what it has put last."""
    pipelines = [running_pipeline("live"), running_pipeline("history")]
    status_writer = status_writer or StatusWriter(None, "status")
    history = DeliveryHistory("soc", pipelines, status_writer, started, 60_000)
    return history, [each.flow.state for each in pipelines], lambda: status_writer.last_put(history._key)


def test_counts_of_all_flows_are_added_once_to_the_hour_in_which_they_happened():
    history, states, last_put = process()
    for number, state in enumerate(states, 1):
        state.accepted, state.dead_lettered, state.skipped = number, 10 * number, 100 * number
        state.request_repeated(NOW, "busy")
    for _ in range(2):
        history.record(IDLE, NOW)
    assert last_put().counts == (HourCount(HOUR, 3, 0, 30, 300, 2),)
    states[0].skipped += 5
    history.record(IDLE, NOW + HOUR_MS)
    assert last_put().counts[1:] == (HourCount(HOUR + HOUR_MS, 0, 0, 0, 5),)
    assert last_put().valid_until == NOW + HOUR_MS + 60_000


def test_a_process_that_starts_again_in_the_same_hour_adds_to_what_the_dead_one_counted():
    """Its record has another key, also where host and process id are the same, as in a container."""
    status_writer, statuses = StatusWriter(None, "status"), {}
    for started in (NOW, NOW + 60_000):
        history, states, _ = process(started, status_writer)
        states[0].accepted = 4
        history.record(IDLE, started + 1_000)
        statuses = status_writer.put_statuses("delivery/")
    assert len(statuses) == 2
    found = DestinationDay(processes=processes_by_destination(statuses)["soc"])
    assert found.counts() == [HourCount(HOUR, 8, 0, 0)]


def test_the_last_counts_are_written_when_the_process_ends():
    """One that delivered nothing, since its settings name another target, leaves no record."""
    history, states, last_put = process()
    history.record(None, NOW)
    assert last_put() is None
    history.record(IDLE, NOW)
    states[1].accepted = 9
    history.record(None, NOW + 5)
    assert last_put().counts == (HourCount(HOUR, 9, 0, 0),)


def test_a_process_that_never_gets_to_work_leaves_no_record():
    """One that is started again and again would fill the topic with keys. A count, or half a minute, is worth a record."""
    history, states, last_put = process()
    unknown = replace(IDLE, known=False)
    history.record(unknown, NOW + SETTLING_MS - 1)
    history.record(None, NOW + SETTLING_MS - 1)
    assert last_put() is None
    states[0].accepted = 1
    history.record(unknown, NOW + SETTLING_MS - 1)
    assert last_put().counts == (HourCount(HOUR, 1, 0, 0),)

    history, _, last_put = process()
    history.record(unknown, NOW + SETTLING_MS)
    assert last_put().slots == (DeliverySlot(QUARTER, None, None),)


@pytest.mark.parametrize(
    ("report", "age"),
    [
        (IDLE, 0),
        (replace(IDLE, oldest=NOW - 7_000), 7_000),
        (replace(IDLE, oldest=NOW + 60_000), 1),
        (replace(IDLE, known=False), None),
        (replace(IDLE, known=False, oldest=NOW - 7_000), None),
    ],
    ids=["idle", "waiting", "clock ahead", "unknown", "unread events may be older"],
)
def test_an_age_that_is_not_known_is_not_zero(report, age):
    history, _, last_put = process()
    history.record(replace(report, since=NOW - SETTLING_MS), NOW)
    assert last_put().slots == (DeliverySlot(QUARTER, None, age),)


def test_the_last_retry_stays_and_an_unchanged_record_is_not_written_again():
    history, _, last_put = process()
    history.record(replace(IDLE, last_retry=RetriedRequest(NOW, "busy")), NOW)
    written = last_put()
    history.record(replace(IDLE, last_retry=RetriedRequest(NOW, "busy")), NOW + 1)
    assert last_put() is written
    assert written.deliveries[0].last_retry == RetriedRequest(NOW, "busy")


def test_recent_events_are_those_of_ten_minutes():
    """They are counted by a clock that does not jump. One sample has no rate."""
    history, states, _ = process()
    assert history.recent(0.0) is None
    for number in range(1, 200):
        states[0].accepted += 10
        states[1].skipped += 5
        recent = history.recent(5.0 * number)
    assert recent == RecentEvents(15 * 120, round(RECENT_SECONDS * 1000))


async def test_two_consumers_report_all_that_they_delivered_and_the_stopped_one_too(
    kafka, prefix, monkeypatch
):
    """The sum of their records is the number of events, however the partitions move, and when both are gone."""
    async with pipeline_world(kafka, prefix, monkeypatch) as world:

        async def counted():
            statuses = await read_statuses(world.connection, world.topics.status)
            processes = processes_by_destination(statuses).get("sentinel", ())
            return len(processes), DestinationDay(processes=processes).total(now_ms()).events

        async def wait_for(expected):
            async with asyncio.timeout(60):
                while await counted() != expected:
                    await asyncio.sleep(0.2)

        events = some_events(100)
        async with world.consuming():
            await world.publish(events[:40])
            await world.wait_for_events()
            await wait_for((1, 40))
            async with world.consuming():
                await wait_for((2, 40))
                await world.publish(events[40:])
                await world.wait_for_events()
                await wait_for((2, 100))
        assert await counted() == (2, 100)

import asyncio
import contextlib

import pytest
import structlog

from relay.telemetry.health import Health
from relay.telemetry.readiness import Announcement, ReadinessTiming, announce_readiness, ready_text
from tests.support.waiting import wait_until


def test_ready_is_announced_once_its_counts_are_stable():
    """A process that is ready says so once its counts have not changed for a while, and not again."""
    announcement = Announcement(quiet_seconds=2)
    four = {"organization": 4, "destination": 1}

    assert not announcement.due(four, ready=False, now=0)
    assert not announcement.due(four, ready=False, now=10)
    assert announcement.due(four, ready=True, now=11)
    assert not announcement.due(four, ready=True, now=12)
    assert not announcement.due(four, ready=False, now=13)
    assert not announcement.due(four, ready=True, now=14)


def test_many_changes_are_one_announcement():
    """A file of a hundred organizations is applied in one line, not in a hundred."""
    announcement = Announcement(quiet_seconds=2)
    assert announcement.due({"organization": 0}, ready=True, now=0) is False
    assert announcement.due({"organization": 0}, ready=True, now=2)

    due = [
        announcement.due({"organization": number}, ready=True, now=2 + number / 50)
        for number in range(1, 101)
    ]

    assert not any(due)
    assert announcement.due({"organization": 100}, ready=True, now=7)


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        (
            {"destination": 1, "organization": 4},
            "Ready: 4 organizations, 1 destination. See their state with `jira-relay organizations list`.",
        ),
        (
            {"organization": 0, "destination": 1},
            "Ready: 0 organizations, 1 destination. Add an organization with",
        ),
        (
            {"organization": 1, "destination": 0},
            "Ready: 1 organization, 0 destinations. Events stay in Kafka",
        ),
        ({"organization": 1200}, "Ready: 1,200 organizations. See their state"),
        ({}, "Ready. If events do not arrive, run `jira-relay check`."),
        ({"destination": 2}, "Ready: 2 destinations. If events do not arrive, run `jira-relay check`."),
    ],
)
def test_the_line_names_the_next_step(counts, text):
    """The line counts organizations and destinations, and says what to do next."""
    assert ready_text(counts).startswith(text)


async def test_the_announcement_waits_for_every_condition():
    """The line is written once all conditions hold, and again when a count changes."""
    health = Health("producer")
    health.count("organization", 3)
    with structlog.testing.capture_logs() as lines:
        task = asyncio.create_task(announce_readiness(health, ReadinessTiming(0.01, 0.02)))
        await asyncio.sleep(0.1)
        assert lines == []
        health.report("producer", ok=True)
        await wait_until(lambda: len(lines) == 1)
        health.report("producer", ok=False, reason="a rebalance")
        health.report("producer", ok=True)
        health.count("organization", 2)
        await wait_until(lambda: len(lines) == 2)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    assert [line["event"][:22] for line in lines] == ["Ready: 3 organizations", "Ready: 2 organizations"]

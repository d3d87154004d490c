"""What a round of the watch keeps and says, without Kafka: its memory, its threads, and what it does not know."""

import asyncio
import threading
import time
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry

from management.completeness import metrics as catalogue
from management.completeness import sealing, watch
from management.completeness.collect import ProofContext
from management.completeness.counted_day import Counted, CountedDay
from management.completeness.due_days import DueDays
from management.completeness.findings import STATUS_PREFIX
from management.completeness.progress import ProgressSummary, RecordedProgress
from management.completeness.seal_index import SealIndex
from management.completeness.sealing import CountedState, Sealer, SealResult
from management.completeness.watch import NEW_MS, DayWatch
from management.completeness.watch_report import WAITING, DayWatchTiming, WatchReport
from relay.config.kafka import KafkaConfig
from relay.config.schema_registry import SchemaRegistryConfig
from relay.kafka.connection import Connection
from relay.status.model import service_key
from relay.telemetry.health import Health
from relay.timestamps import DAY_MS, day_of
from tests.support.day_seals import KEY, NOON, account
from tests.support.views import organization

DAY, KEY_OF_ACME = day_of(NOON - DAY_MS), f"{STATUS_PREFIX}acme"
CONTEXT = ProofContext(
    Connection(KafkaConfig(bootstrap="127.0.0.1:1")), SchemaRegistryConfig(), {}, lambda: NOON
)


async def test_a_round_keeps_no_events_of_the_days_that_it_counted(monkeypatch):
    """A round holds the results of all organizations until its end, and a sealer the accounts of all open days.

    Trees of large days are made in a thread, since the process does other work too.
    """
    counted = Counted({DAY: CountedDay(account(DAY, range(2_000)))}, RecordedProgress())
    threads, published = set(), []

    async def count(*_):
        return {"acme": counted}

    async def publish(records):
        published.extend(records)
        return [0] * len(records)

    def made(*arguments):
        threads.add(threading.current_thread())
        return day_account(*arguments)

    day_account = sealing.day_account
    monkeypatch.setattr(sealing, "count_partition", count)
    monkeypatch.setattr(sealing, "day_account", made)
    sealer = Sealer(CONTEXT, KEY, SimpleNamespace(publish=publish), SealIndex())
    for _ in range(2):
        found = await sealer.seal(0, {"acme": DueDays(counting=[DAY])}, lambda _: None)
    assert found["acme"].counted == {DAY: CountedState("complete")}
    assert len(published) == 1
    assert len(repr(sealer._accounts)) < 500
    assert threading.main_thread() not in threads


@pytest.fixture
def found(monkeypatch):
    """A watch, the progress that its rounds find, and the results that they give."""
    timing = DayWatchTiming()
    report = WatchReport(CONTEXT.now_ms, None, "status", CollectorRegistry(), Health(), timing)
    watched = DayWatch(CONTEXT, KEY, 7, SimpleNamespace(), report, timing)
    found = SimpleNamespace(watch=watched, result=SealResult("acme"), progress=ProgressSummary())

    async def seal_round(_connection, _sealer, names, _progress, plan, _source_of):
        for name in names:
            plan(name, found.progress)
        return [found.result]

    async def round_over(added):
        known = {"acme": organization("acme", added=added)}
        await watched.round(SimpleNamespace(index=SealIndex()), known)
        return report.status_writer.last_put(KEY_OF_ACME)

    monkeypatch.setattr(watch, "seal_round", seal_round)
    found.round = round_over
    return found


async def test_an_organization_that_was_never_polled_is_not_complete(found):
    """No day of it can be counted. A new one has a day to be polled."""
    assert await found.round(NOON - NEW_MS + 1) is None
    status = await found.round(NOON - NEW_MS)
    assert (status.state, "No progress of a producer" in status.reason) == ("unproven", True)


async def test_a_difference_does_not_vanish_between_two_long_rounds(found):
    """The pause after a round of an hour is six hours; an organization that stays complete is written once."""
    timing = DayWatchTiming()
    assert [timing.pause(each) for each in (0, 60, 1_200, 150_000)] == [1_800, 1_740, 10_800, 21_600]
    found.result = SealResult("acme", failure="It failed.")
    assert (await found.round(NOON)).valid_until - NOON == 5_400_000 + 900_000
    found.watch.report._began = time.monotonic() - 3_600
    assert (await found.round(NOON)).valid_until - NOON >= 3 * 7 * 3_600_000
    found.result = SealResult("acme")
    await found.round(NOON)
    pending = found.watch.report.status_writer._pending
    assert pending == {KEY_OF_ACME: None}
    pending.clear()
    await found.round(NOON)
    assert pending == {}


def test_an_organization_that_fails_hides_no_stop_of_the_rounds(found):
    """Its own state names it. A round that reached no partition, or ended early, is none: `JiraRelayDaysNotCounted` must come."""
    report, broken = found.watch.report, SealResult("acme", failure="The chain of seals is broken.")
    unread = SealResult("beta", failure="Kafka did not answer.", is_reached=False)
    rounds = (
        ([unread], 1, False),
        ([broken], 2, False),
        ([broken], 1, True),
        ([broken, unread], 2, True),
        ([], 0, True),
    )
    for results, count, is_round in rounds:
        report._metrics[catalogue.LAST_ROUND].set(0)
        report.end(results, count, 1.0)
        assert (report._metrics[catalogue.LAST_ROUND]._value.get() > 0) is is_round


async def test_a_process_that_may_not_join_the_others_says_so(found):
    """It does not know that another one counts the days."""
    for trouble, state in ((None, "waiting"), ("The group is refused.", "failing")):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await found.watch.report.keep_status(found.watch.ownership, lambda trouble=trouble: trouble)
        status = found.watch.report.status_writer.last_put(service_key("proof"))
        assert (status.state, status.reason) == (state, trouble or WAITING)


async def test_a_defect_of_the_count_ends_no_other_service(found, monkeypatch):
    """In `jira-relay up` producers and consumers run beside it. Status, log and alert show it, and it is tried again."""
    tried = []

    def open_sealer(*_):
        tried.append(found.watch.report.status.state)
        if len(tried) == 3:
            raise asyncio.CancelledError
        raise ZeroDivisionError

    monkeypatch.setattr(watch, "open_sealer", open_sealer)
    found.watch._timing = DayWatchTiming(retry_seconds=0)
    with pytest.raises(asyncio.CancelledError):
        await found.watch._work()
    assert tried[1:] == ["failing", "failing"]
    assert "defect" in found.watch.report.status.reason

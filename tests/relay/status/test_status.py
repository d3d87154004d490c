import asyncio
import random
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import structlog

from relay.kafka.compacted_topics import read_table
from relay.kafka.producer import RecordTooLargeError, RecordWriter, TopicWriteError
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics
from relay.status import reader
from relay.status.model import HOUR_MS, take_over
from relay.status.reader import StatusCache, read_statuses, remove_stale
from relay.status.writer import StatusWriter
from relay.timestamps import DAY_MS, now_ms
from tests.support.kafka import connection_to
from tests.support.topics import alter_topic

NOW = 1_790_000_000_000


@pytest.fixture
async def connection(kafka, prefix):
    found = connection_to(kafka, prefix, shards=1)
    await create_missing_topics(found)
    return found


class FlakyWriter:
    """Replaces a writer, and fails on request."""

    def __init__(self):
        self.written = []
        self.failing = False

    async def send(self, _topic, key, value, **_options):
        if self.failing:
            raise TopicWriteError("Kafka is away.")
        self.written.append((key.decode(), value))


async def test_the_status_of_an_older_owner_is_ignored(connection, prefix):
    """While the status of its successor is valid, the record of a process that was frozen is ignored."""
    now = now_ms()
    frozen = take_over("active", now - 5_000).valid_for(60_000)
    successor = take_over("failing", now, frozen).valid_for(60_000)
    async with RecordWriter(connection) as writer:
        status_writer = StatusWriter(writer, Topics(prefix).status)
        for status in (frozen, successor, replace(frozen, at=now + 1)):
            status_writer.put("producer/acme", status)
            await status_writer.flush()

    assert (await read_statuses(connection, Topics(prefix).status))["producer/acme"] == successor


async def test_an_expired_status_yields_to_any_other(connection, prefix):
    """An owner with a lower epoch, from a slow clock, is not ignored for ever."""
    past = take_over("active", now_ms() - 600_000)
    ahead = replace(past, epoch=now_ms() + DAY_MS).valid_for(1_000)
    async with RecordWriter(connection) as writer:
        status_writer = StatusWriter(writer, Topics(prefix).status)
        for status in (ahead, take_over("failing", now_ms())):
            status_writer.put("producer/acme", status)
            await status_writer.flush()

    assert (await read_statuses(connection, Topics(prefix).status))["producer/acme"].state == "failing"


async def test_only_the_statuses_of_dead_processes_are_removed(connection, prefix):
    """The status of a process that lived for days is deleted a day after it was valid; organizations and destinations stay."""
    old = take_over("active", NOW - 2 * DAY_MS).transition("active", None, NOW).valid_for(0)
    keys = ("produce/one", "consume/two", "producer/acme", "destination/sentinel")
    async with RecordWriter(connection) as writer:
        status_writer = StatusWriter(writer, Topics(prefix).status)
        for key in keys:
            status_writer.put(key, old)
        await status_writer.flush()
        await remove_stale(status_writer, connection, Topics(prefix).status, NOW + DAY_MS)
        await status_writer.flush()
        assert set(await read_statuses(connection, Topics(prefix).status)) == set(keys)
        await remove_stale(status_writer, connection, Topics(prefix).status, NOW + DAY_MS + 1)
        await status_writer.flush()

    assert {key.decode() for key in await read_table(connection, Topics(prefix).status)} == set(keys[2:])


async def test_a_process_that_ends_soon_after_each_start_leaves_its_statuses_for_an_hour(monkeypatch):
    """One that counted events keeps them for a day, as the pages show them; a sign-out is kept as long as its session could last."""
    start = take_over("active", NOW)
    statuses = {
        "consume/crashed": start.valid_for(40_000),
        "delivery/crashed": start.with_counts(NOW).valid_for(40_000),
        "delivery/counted": start.with_counts(NOW, events=1).valid_for(40_000),
        "consume/older": start.valid_for(3 * HOUR_MS),
    }
    deleted = []
    monkeypatch.setattr(reader, "read_statuses", lambda *_: asyncio.sleep(0, statuses))
    writer = SimpleNamespace(tombstone=deleted.append)
    for at, expected in (
        (40_000 + HOUR_MS, []),
        (40_001 + HOUR_MS, ["consume/crashed", "delivery/crashed"]),
        (6 * HOUR_MS, ["consume/crashed", "delivery/crashed"]),
        (6 * HOUR_MS + 1, ["consume/crashed", "delivery/crashed", "consume/older"]),
        (40_001 + DAY_MS, list(statuses)),
    ):
        deleted.clear()
        await reader.remove_stale(writer, None, "status", NOW + at)
        assert sorted(deleted) == sorted(expected)


async def test_a_failed_flush_is_repeated():
    """A failed flush loses nothing, and of each key the latest status is written."""
    writer = FlakyWriter()
    status_writer = StatusWriter(writer, "status")
    status_writer.put("a", take_over("active", NOW))
    status_writer.tombstone("b")
    writer.failing = True
    await status_writer.flush()
    status_writer.put("a", take_over("failing", NOW))
    writer.failing = False
    await status_writer.flush()
    await status_writer.flush()

    assert sorted(key for key, _ in writer.written) == ["a", "b"]
    assert status_writer.last_put("a").state == "failing"


async def test_statuses_whose_batch_the_topic_refuses_are_written_one_by_one(connection, prefix):
    """An operator lowered max.message.bytes; a status that is too large alone keeps back no other."""
    topic, rng = Topics(prefix).status, random.Random(1)
    await alter_topic(connection, topic, cleanup_policy="compact", max_message_bytes="3000")
    async with RecordWriter(connection) as writer:
        status_writer = StatusWriter(writer, topic)
        for number in range(20):
            status_writer.put(
                f"producer/{number}", take_over("failing", NOW, reason=rng.randbytes(200).hex())
            )
        status_writer.put("producer/large", take_over("failing", NOW, reason=rng.randbytes(3_000).hex()))
        with structlog.testing.capture_logs() as logs:
            await status_writer.flush()
        statuses = await read_statuses(connection, topic)

    assert statuses.keys() == {f"producer/{number}" for number in range(20)}
    assert [f"on {topic} for its size" in entry["reason"] for entry in logs] == [True]


async def test_nothing_is_written_while_the_membership_is_not_valid():
    """While the lease is not valid, statuses wait; a forgotten one is never written."""
    writer, valid = FlakyWriter(), []
    status_writer = StatusWriter(writer, "status", lambda: bool(valid))
    status_writer.put("mine", take_over("active", NOW))
    status_writer.put("theirs", take_over("active", NOW))
    await status_writer.flush()
    status_writer.forget("theirs")
    valid.append(1)
    await status_writer.flush()

    assert [key for key, _ in writer.written] == ["mine"]
    assert status_writer.last_put("theirs") is None


async def test_an_unencodable_status_does_not_block_the_others():
    """It is skipped, with an error in the log."""
    writer = FlakyWriter()
    status_writer = StatusWriter(writer, "status")
    status_writer.put("bad", take_over("active", NOW, reason="half of a pair: \ud800"))
    status_writer.put("good", take_over("active", NOW))
    await status_writer.flush()
    await status_writer.flush()

    assert [key for key, _ in writer.written] == ["good"]


async def test_an_unreadable_topic_is_read_once(connection):
    """If Kafka does not answer, callers do not wait one after the other."""
    cache = StatusCache(connection, "no-such-topic")
    await cache.latest("producer/first")
    began = time.monotonic()

    assert [await cache.latest(f"producer/{number}") for number in range(100)] == [None] * 100
    assert time.monotonic() - began < 30


async def test_callers_that_await_one_reading_go_on_together(connection, prefix):
    """A thousand of them take few turns of the event loop, not one each; a cancelled one holds up no other."""
    cache, turns, went_on = StatusCache(connection, Topics(prefix).status), 0, []

    async def count_turns():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def ask(number):
        await cache.latest(f"producer/{number}")
        went_on.append(turns)

    counting = asyncio.create_task(count_turns())
    asking = [asyncio.create_task(ask(number)) for number in range(1_000)]
    await asyncio.sleep(0)
    asking[0].cancel()
    async with asyncio.timeout(60):
        await asyncio.wait(asking)
    counting.cancel()

    assert len(went_on) == 999
    assert max(went_on) - min(went_on) < 100


def test_a_new_owner_continues_the_status_of_the_former():
    """It has a higher epoch, whatever the clocks say, and the former transitions, counts and times."""
    former = replace(take_over("active", NOW + 60_000).with_counts(NOW, events=5), last_event=NOW)
    status = take_over("failing", NOW, former, "The key was refused.")

    assert status.epoch == former.epoch + 1
    assert (status.counts, status.last_event) == (former.counts, NOW)
    assert (status.state, status.since, status.transitions[-1].state) == ("failing", NOW, "failing")


async def test_an_unavailable_kafka_is_logged_once_and_again_after_a_recovery(capsys):
    writer = FlakyWriter()
    status_writer = StatusWriter(writer, "status")

    async def count_warnings(*, broken, times=1):
        writer.failing = broken
        for _ in range(times):
            status_writer.put("producer/acme", take_over("active", NOW))
            await status_writer.flush()
        return capsys.readouterr().out.count("[warning  ] Status was not written")

    assert await count_warnings(broken=True, times=3) == 1
    assert await count_warnings(broken=False) == 0
    assert await count_warnings(broken=True) == 1


class SmallTopic:
    """Replaces a writer whose topic accepts up to `limit` bytes."""

    def __init__(self, limit):
        self.limit = limit

    async def send(self, topic, _key, value, **_options):
        if len(value or b"") > self.limit:
            raise RecordTooLargeError(
                f"Kafka rejected a record of {len(value)} bytes on {topic} for its size."
            )


async def test_a_status_too_large_for_its_topic_has_one_line_at_its_begin_and_one_at_its_end():
    """The other statuses are written all the time, so the log must not say that status was not written, or is again."""
    writer = SmallTopic(1_000)
    status_writer = StatusWriter(writer, "status")
    with structlog.testing.capture_logs() as logs:
        for reason in ["x" * 3_000] * 3 + ["short"] * 2:
            for key, text in (("producer/acme", reason), ("producer/globex", None)):
                status_writer.put(key, take_over("failing", NOW, reason=text))
            await status_writer.flush()
            status_writer.put("producer/globex", take_over("active", NOW))
            await status_writer.flush()

    lines = [entry for entry in logs if entry["log_level"] != "debug"]
    assert [(entry["key"], entry["log_level"]) for entry in lines] == [
        ("producer/acme", "warning"),
        ("producer/acme", "info"),
    ]
    assert "Raise max.message.bytes" in lines[0]["event"]
    assert "on status for its size" in lines[0]["reason"]
    assert "is written again" in lines[1]["event"]

"""Signs of life of a replay, as one reader sees them, whatever the clock of the machine that works on it says."""

import asyncio
from dataclasses import replace

import pytest

from management.replay.jobs import read_replay
from management.replay.signs import SILENT_MS, LookTiming, SignsOfLife
from management.replay.view import ReplayView
from relay.kafka.topic_admin import create_missing_topics
from relay.replays.job import KnownReplay, ReplayProgress
from tests.support.kafka import connection_to
from tests.support.replay_owner import PlayedOwner
from tests.support.replays import replay_job

NOW = 1_796_022_900_000
HOUR_MS = 3_600_000
JOB = replay_job(requested_at=NOW - HOUR_MS, wished_at=NOW - HOUR_MS)


class Reader:
    """Looks at one replay whose owner has another clock."""

    def __init__(self, ahead_ms=0):
        self.seconds = 0.0
        self.signs = SignsOfLife(lambda: self.seconds)
        self.known = KnownReplay(
            JOB, ReplayProgress(JOB.id, "running", 1, NOW + ahead_ms, "host-1", 1), sign=10
        )

    def look(self, after=0.0, *, sign=False, **job):
        self.seconds += after
        if sign or job:
            self.known = replace(self.known, sign=self.known.sign + sign, job=replace(self.known.job, **job))
        self.signs.note([self.known])
        now = NOW + round(1000 * self.seconds)
        return ReplayView(self.known, now, self.signs.silent_ms(JOB.id))


@pytest.mark.parametrize("ahead_ms", [-HOUR_MS, HOUR_MS, 0])
def test_signs_that_arrive_show_that_somebody_works_on_it(ahead_ms):
    reader = Reader(ahead_ms)
    reader.look()
    assert [reader.look(15, sign=True).state for _ in range(8)] == ["running"] * 8


@pytest.mark.parametrize("ahead_ms", [-HOUR_MS, HOUR_MS, 0])
def test_a_replay_without_signs_is_unattended_after_a_minute_of_looking(ahead_ms):
    """An owner that died with a clock an hour ahead looked alive for an hour."""
    reader = Reader(ahead_ms)
    reader.look()
    assert reader.look(61).state == "unattended"
    assert reader.look(15, sign=True).state == "running"
    assert reader.look(59).state == "running"
    late = reader.look(2)
    assert (late.state, late.since <= NOW + 76_000) == ("unattended", True)


def test_a_wish_is_no_silence_however_long_the_replay_was_paused():
    reader = Reader()
    reader.look(wished="paused")
    assert reader.look(1, wished="running", wished_at=NOW + 1000).state == "running"
    reader.look(3600)
    assert reader.look(1, wished="cancelled", wished_at=NOW + 3_602_000).state == "cancelling"


@pytest.mark.parametrize(
    ("age_ms", "doubtful"), [(0, False), (61_000, True), (-HOUR_MS, True), (90_000_000, False)]
)
def test_the_first_look_has_the_clocks_alone_and_says_so(age_ms, doubtful):
    job = replay_job(wished_at=NOW - 200_000_000)
    first = ReplayView(KnownReplay(job, ReplayProgress(JOB.id, "running", 1, NOW - age_ms, "host-1", 1)), NOW)
    assert first.is_doubtful == doubtful
    assert ("replay show" in first.reason) == (doubtful and age_ms > 0)
    assert not replace(first, silent_ms=SILENT_MS + 1).is_doubtful


@pytest.mark.parametrize("alive", [True, False])
async def test_show_looks_for_a_sign_where_the_clocks_doubt(kafka, prefix, alive):
    connection = connection_to(kafka, prefix, shards=1)
    await create_missing_topics(connection)
    async with PlayedOwner(connection) as owner:
        job = replay_job(requested_at=NOW, wished_at=NOW)
        await owner.store.write_job(job)
        await owner.report(job, "running", at=NOW)
        look = asyncio.create_task(
            read_replay(connection, job.id, NOW + HOUR_MS, LookTiming(30 if alive else 0.2, 0.1))
        )
        while alive and not look.done():
            await owner.report(job, "running", at=NOW)
            await asyncio.sleep(0.1)
        assert (await look).state == ("running" if alive else "unattended")

"""Jobs and their progress as records, read back from Kafka, and from records that this release does not know."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from relay.avro.codec import InternalCodec
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics
from relay.replays.job import ReplayPlace, ReplayProgress, ReplayRange, ReplaySkip
from relay.replays.store import (
    ReplayStore,
    ReplaysUnavailableError,
    ReplayTable,
    producer_key,
    progress_key,
    supersedes,
)
from tests.support.kafka import connection_to
from tests.support.replays import replay_job

JOB = replay_job(
    from_ms=1,
    to_ms=2,
    organizations=("acme", "globex"),
    events=("acme/7",),
    where="category = 'permissions'",
    reason="too large",
    archive="lake",
    to_live=True,
    rate=500,
    ranges=(ReplayRange("p.events", 3, 10, 2**40), ReplayRange("p.backfill", 3, 0, 0)),
    target="sentinel: endpoint https://example.com, table Jira_CL",
)
PROGRESS = ReplayProgress(
    JOB.id,
    "running",
    5,
    6,
    "host",
    4,
    "slow",
    None,
    9,
    4,
    3,
    2,
    1,
    (ReplayPlace("p.events", 3, 12, '{"relay":1}'),),
    (ReplaySkip("redriven before", 2),),
)


def record(key, value, offset=0):
    return SimpleNamespace(key=key.encode(), value=value, offset=offset)


def encoded(subject, **fields):
    return InternalCodec(subject).encode(fields)


def job_record(**changes):
    job = replay_job()
    names = [name for name in job.__slots__ if name not in ("from_ms", "to_ms", "ranges")]
    fields = {name: getattr(job, name) for name in names} | {"ranges": []} | changes
    return record(job.id, encoded("replay", **fields))


def progress_record(key=None, **changes):
    names = [name for name in PROGRESS.__slots__ if name not in ("places", "skips")]
    fields = {name: getattr(PROGRESS, name) for name in names} | {"places": []} | changes
    return record(key or progress_key(JOB.id), encoded("replay_progress", **fields))


@pytest.fixture
async def store(kafka, prefix):
    connection = connection_to(kafka, prefix, shards=1)
    await create_missing_topics(connection)
    return ReplayStore(connection, Topics(prefix).replays)


async def test_a_job_and_its_progress_are_read_back_as_they_were_written(store):
    """The two writers never overwrite one another: a later wish leaves the progress, and a later place the job."""
    await store.write_job(JOB)
    await store.write_progress(PROGRESS)
    later = replace(JOB, wished="paused", wished_at=9)
    await store.write_job(later)
    (found,) = (await store.read()).jobs.values()

    assert (found.job, found.progress) == (later, PROGRESS)


async def test_without_the_topic_the_error_names_the_command_that_creates_it(kafka, prefix):
    store = ReplayStore(connection_to(kafka, prefix, shards=1), Topics(prefix).replays)
    with pytest.raises(ReplaysUnavailableError, match="run `jira-relay topics create`"):
        await store.read()


async def test_no_wish_counts_after_a_cancellation(store):
    """Two operators wish at the same moment, each without knowing of the other: a cancelled replay must not go on."""
    await store.write_job(replace(JOB, wished="cancelled", wished_by="ann"))
    await store.write_job(replace(JOB, wished="running", wished_by="bob"))
    (found,) = (await store.read()).jobs.values()
    assert (found.job.wished, found.job.wished_by) == ("cancelled", "ann")


def test_every_reader_of_the_topic_takes_a_cancellation_for_good():
    table = ReplayTable()
    records = [job_record(wished=each) for each in ("running", "paused", "cancelled", "running")]
    for each in records:
        table.apply(each)
    assert table.jobs[JOB.id].job.wished == "cancelled"
    assert not supersedes(records[3], records[2])
    assert supersedes(records[1], records[0])
    assert supersedes(records[2], records[1])
    assert supersedes(record(JOB.id, b"of a later release"), records[2])
    assert supersedes(progress_record(), progress_record())


def test_each_record_of_progress_is_another_sign_of_life():
    """A wish is none: it comes from an operator."""
    table = ReplayTable()
    signs = []
    for offset, each in enumerate([job_record(), progress_record(), progress_record(), job_record()], 7):
        each.offset = offset
        table.apply(each)
        signs.append(table.jobs[JOB.id].sign)
    assert signs == [7, 8, 9, 9]


def test_an_unknown_wish_pauses_and_an_unknown_state_has_failed():
    """A word of a later release never makes an older consumer send."""
    table = ReplayTable()
    table.apply(job_record(wished="postponed"))
    table.apply(progress_record(state="sleeping", reason="moon"))
    (found,) = table.jobs.values()

    assert found.job.wished == "paused"
    assert found.progress.state == "failed"
    assert "sleeping" in found.progress.reason
    assert "moon" in found.progress.reason


@pytest.mark.parametrize("key", [JOB.id, progress_key(JOB.id)])
def test_a_record_that_cannot_be_read_hides_its_replay_until_a_readable_one_follows(key):
    """A job without its places would begin anew, and a place without its job has no ranges: neither may run."""
    other = "20261130-080000-0001"
    table = ReplayTable()
    table.apply(job_record())
    table.apply(record(other, job_record(id=other).value))
    table.apply(record(key, b"of a later release"))
    assert list(table.jobs) == [other]
    assert key in table.unreadable[key]

    table.apply(progress_record(key) if "." in key else job_record())
    assert set(table.jobs) == {JOB.id, other}


def test_the_parts_of_producers_are_kept_by_organization_as_they_are():
    """Their records have a schema of their own, which the part of consumers reads when it needs them."""
    table = ReplayTable()
    table.apply(job_record())
    table.apply(record(producer_key(JOB.id, "acme.example"), b"a part"))
    assert table.jobs[JOB.id].producers == {"acme.example": b"a part"}


def test_a_deleted_job_is_gone():
    table = ReplayTable()
    table.apply(job_record())
    table.apply(progress_record())
    table.apply(record(JOB.id, None))
    table.apply(record(progress_key(JOB.id), None))
    assert table.jobs == {}

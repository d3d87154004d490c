"""Wishes of two operators for one replay."""

from dataclasses import replace

import pytest

from management.replay import jobs
from management.replay.jobs import set_wish, submit
from relay.config.kafka import KafkaConfig
from relay.errors import RelayError
from relay.kafka.compacted_topics import read_table
from relay.kafka.connection import Connection
from relay.kafka.producer import NotWrittenError, TopicWriteError
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics
from relay.replays.store import ReplayStore, decode_job
from tests.support.kafka import connection_to
from tests.support.replays import replay_job


async def test_a_wish_that_meets_a_cancellation_loses_and_the_topic_keeps_the_cancellation(
    kafka, prefix, monkeypatch
):
    """Bob has read the replay as paused, and Ann cancels it before his wish arrives. Compaction keeps the last record alone."""
    connection = connection_to(kafka, prefix, shards=1)
    await create_missing_topics(connection)
    topic, paused = Topics(prefix).replays, replay_job(wished="paused")
    store = ReplayStore(connection, topic)
    await store.write_job(paused)
    read, moments = jobs._read, iter([True])

    async def read_then_cancel(asked):
        found = await read(asked)
        if next(moments, False):
            await store.write_job(replace(paused, wished="cancelled", wished_by="ann"))
        return found

    monkeypatch.setattr(jobs, "_read", read_then_cancel)
    with pytest.raises(
        RelayError, match=r"ann wished the replay .* cancelled at the same moment, and that counts"
    ):
        await set_wish(connection, paused.id, "running", "bob", 9)
    latest = (await read_table(connection, topic))[paused.id.encode()]
    assert decode_job(latest.value).wished == "cancelled"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NotWrittenError("Nothing was written to x."), "was not started. Nothing was written to x."),
        (TopicWriteError("Kafka did not confirm."), "It is not known whether the replay"),
    ],
)
async def test_a_replay_that_was_not_sent_is_known_not_to_have_started(monkeypatch, error, said):
    """Only a lost answer leaves the outcome open; a producer that Kafka did not start has written nothing."""

    class Store:
        async def write_job(self, _job):
            raise error

    async def verify(_self):
        return None

    monkeypatch.setattr(jobs, "_store", lambda _connection: Store())
    monkeypatch.setattr(Connection, "verify", verify)
    connection = Connection(KafkaConfig(bootstrap="127.0.0.1:1"))
    with pytest.raises(RelayError) as caught:
        await submit(connection, replay_job())
    assert said in str(caught.value)

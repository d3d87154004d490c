"""What destinations still have, in the account of a day."""

import json
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from consumer.destinations.catalogue import DESTINATIONS
from consumer.destinations.elasticsearch.config import ElasticsearchConfig
from consumer.destinations.read_back import ReadBackError
from consumer.group_names import group_name
from management.completeness import read_back
from management.completeness.canonical import EventKey
from management.completeness.commands import show_counted
from management.completeness.counted_day import Counted, CountedDay
from management.completeness.progress import RecordedProgress
from management.completeness.proof import DayAccount, DeliveryDay, KafkaDay, SourceDay
from management.completeness.read_back import SETTLE_MS, settled_before, with_read_back
from management.completeness.read_back_day import ReadBackDay, replay_command
from management.completeness.topic_scan import PlacedEvent
from management.destination_day import DestinationDay
from management.events.stored_event import EventAddress
from relay.config.kafka import KafkaConfig
from relay.kafka import OffsetAndMetadata, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.group_offsets import open_group
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import partition_of
from relay.status.model import HourCount, take_over
from relay.status.slots import SLOT_MS, DeliverySlot
from relay.timestamps import DAY_MS, HOUR_MS, day_start
from simulators.elasticsearch.cluster import SimulatedCluster
from tests.support.kafka import connection_to
from tests.support.proof_world import ORGANIZATION, SHARDS, ProofWorld, some_event

DAY = "2026-11-23"
NOW = day_start(DAY) + 2 * DAY_MS
KEYS = [EventKey(number, bytes(32)) for number in (7, 8, 9)]
EVENTS = [
    PlacedEvent(key, EventAddress("events", 0, key.id), NOW - age, variant=variant)
    for key, age, variant in zip(
        KEYS, (DAY_MS, SETTLE_MS, SETTLE_MS - 1), (None, "00000000000000ab", None), strict=True
    )
]


def counted():
    delivered = {"soc": DeliveryDay({"accepted": 3}, {}, EVENTS), "other": DeliveryDay()}
    account = DayAccount("acme", DAY, SourceDay(KEYS), KafkaDay(KEYS), delivered)
    return Counted({DAY: CountedDay(account, EVENTS)}, RecordedProgress({}, None))


@pytest.fixture
def lacks(monkeypatch):
    """Let the destination soc lack these uids, or fail with this text."""

    def answer(*uids, failure=None):
        class Reader:
            async def missing(self, accepted):
                if failure is not None:
                    raise ReadBackError(failure)
                assert set(accepted.uids) == {"acme/7", "acme/8/00000000000000ab", "acme/9"}
                assert (accepted.organization, accepted.start) == ("acme", day_start(DAY))
                return set(uids)

        @asynccontextmanager
        async def opened(*_):
            yield Reader()

        kind = replace(DESTINATIONS["elasticsearch"], read_back=opened)
        monkeypatch.setattr(read_back, "DESTINATIONS", {"elasticsearch": kind})
        monkeypatch.setattr(read_back, "read_statuses", statuses)

    async def statuses(*_):
        return {}

    return answer


async def account(now=NOW, **changes):
    config = ElasticsearchConfig(
        kind="elasticsearch", endpoint="http://127.0.0.1:9200", **({"read_back": True} | changes)
    )
    nowhere = Connection(KafkaConfig(bootstrap="127.0.0.1:1"))
    found = await with_read_back(counted(), "acme", {"soc": config}, nowhere, now)
    return found.days[DAY].account


async def test_a_destination_is_asked_only_where_the_settings_say_so(lacks):
    lacks(failure="it was asked")
    assert (await account(read_back=False)) == counted().days[DAY].account
    assert "read_back" not in (await account(read_back=False)).document()


async def test_what_is_lost_is_named_with_the_replay_of_exactly_that(lacks):
    """An event that is less than an hour old may not show yet, and counts neither as lost nor as there."""
    lacks("acme/7", "acme/8/00000000000000ab", "acme/9")
    found = await account()

    assert found.state == "differing"
    assert found.read_back["soc"] == ReadBackDay(3, ["acme/7", "acme/8/00000000000000ab"], 1)
    text = " ".join(found.findings())
    assert "soc accepted 2 events that it does not have: 7, 8." in text
    assert "`jira-relay replay start --destination soc --event acme/7 --event acme/8`" in text
    assert found.document()["read_back"]["soc"]["missing"] == {"count": 2, "ids": [7, 8]}


async def test_no_answer_is_never_a_complete_day(lacks):
    """A failed query, events that may not show yet, and a day that is too old leave the day unproven."""
    lacks()
    assert (await account()).state == "complete"
    lacks("acme/9")
    assert (await account()).state == "unproven"
    assert "may have accepted less than an hour ago" in " ".join((await account()).findings())
    lacks(failure="The workspace has no such table yet.")
    assert (await account()).state == "unproven"
    assert "soc was not read back, so nothing is known of it: The workspace" in " ".join(
        (await account()).findings()
    )
    lacks()
    late = await account(now=NOW + 40 * DAY_MS)
    assert (late.state, late.read_back["soc"].failure) == (
        "unproven",
        "the day is more than read_back_days (30) ago.",
    )


def test_what_a_backlog_brought_just_now_is_not_called_lost():
    """The destination was away for six hours, and took all of it half an hour ago: an old event is a new one there."""
    start, hour = NOW - NOW % SLOT_MS - 5 * SLOT_MS, NOW - NOW % HOUR_MS
    process = take_over("active", NOW)

    def settled(age, now=NOW, **counts):
        slots = () if age is None else (DeliverySlot(start, 3, age),)
        own = replace(process, slots=tuple(replace(each, age=None) for each in slots))
        found = [HourCount(hour, **{"events": 0, "late": 0, "dead_letters": 0} | counts)] if counts else []
        return settled_before(DestinationDay(own, [replace(process, slots=slots, counts=tuple(found))]), now)

    assert settled(6 * HOUR_MS) == start + SLOT_MS - 6 * HOUR_MS
    assert settled(0) == start + SLOT_MS == NOW - SETTLE_MS
    assert settled(None, events=5) == 0
    assert settled(None, dead_letters=1) == settled(None) == NOW - SETTLE_MS


def test_many_events_are_replayed_in_parts():
    text = replay_command("soc", [f"acme/{number}" for number in range(25)])
    assert text.count("--event") == 20
    assert text.endswith("then the other 5 in the same way.")


async def test_a_document_that_is_gone_is_named_from_kafka_to_the_cluster(kafka, prefix):
    """Committed offsets say that both events were accepted; the cluster has one of them."""
    connection = connection_to(kafka, prefix, shards=SHARDS)
    await create_missing_topics(connection)
    now = day_start(DAY) + 20 * DAY_MS
    world = ProofWorld(connection, now, DAY)
    await world.publish(some_event(DAY, 7), some_event(DAY, 8))
    partition = TopicPartition(world.topics.events, partition_of(ORGANIZATION, SHARDS))
    async with open_group(connection, group_name(prefix, "soc", "live"), partition.topic) as group:
        end = (await group.read()).bounds[partition].high_watermark
        await group.commit({partition: OffsetAndMetadata(end, "")})
    async with SimulatedCluster() as cluster:
        stored = {"@timestamp": "2026-11-23T00:00:00Z"}
        action = {"create": {"_id": f"{ORGANIZATION}/8"}}
        cluster.bulk.apply(f"{json.dumps(action)}\n{json.dumps(stored)}\n".encode(), "jira-audit", {})
        config = ElasticsearchConfig(
            kind="elasticsearch",
            endpoint=cluster.endpoint,
            index="jira-audit",
            layout="monthly",
            read_back=True,
        )
        cluster.objects.indices["jira-audit-2026.11"] = cluster.objects.indices.pop("jira-audit")
        context = replace(world.context, destinations={"soc": config})
        (shown,) = await show_counted(context, ORGANIZATION, [DAY], None, 7)

    assert shown.state == "differing"
    assert "soc accepted 1 events that it does not have: 7." in shown.findings
    assert any(f"--event {ORGANIZATION}/7`." in each for each in shown.findings)

"""The replay of a lost range: what it cannot bring back is said before it begins, and keeps the range on the list."""

import pytest

from consumer.destinations.sentinel.config import SentinelConfig
from consumer.losses.lost_range import LostRange
from consumer.losses.store import LossStore
from management.organizations.validation import InputError
from management.replay.lost import OVERLAP_MS, plan_lost
from management.replay.request import ReplayRequest
from relay.change_log import write_change
from relay.destination_changes import Change, record_change
from relay.kafka.producer import RecordWriter
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics, partition_of
from relay.organizations import Organization, OrganizationCodec
from relay.timestamps import DAY_MS, now_ms
from tests.support.archives import lake
from tests.support.kafka import connection_to

NOW = now_ms()
RULE = "dcr-" + 32 * "0"
NUMBER = partition_of("acme", 2)


class Installation:
    """Topics with one organization and one lost range of the destination `sentinel`; the archive `lake` is beside it."""

    def __init__(self, kafka, prefix, location):
        self.connection, self.topics = connection_to(kafka, prefix, shards=2), Topics(prefix)
        sentinel = SentinelConfig(
            kind="sentinel", endpoint="https://a.example", rule_id=RULE, history_stream="Custom-Old"
        )
        self.destinations = {"sentinel": sentinel, "lake": lake(f"file://{location}")}

    async def lose(self, topic, collected_from, **organization):
        lost = LostRange("sentinel", topic, NUMBER, 100, 160, 60, collected_from, NOW - 1_000, NOW - 500)
        fields = {"url": "https://acme.example", "user": "u", "added": NOW - 300 * DAY_MS, "modified": NOW}
        added = Organization("acme", **{**fields, "revision": 1, **organization})
        async with RecordWriter(self.connection) as writer:
            await LossStore(self.connection, self.topics.destinations, writer).write(lost)
            await writer.send(self.topics.organizations, b"acme", OrganizationCodec().encode(added))
        return lost

    async def plan(self, lost, **asked):
        request = ReplayRequest("sentinel", **asked)
        return await plan_lost(self.connection, self.destinations, request, lost.name, NOW)


@pytest.fixture
async def installation(kafka, prefix, tmp_path):
    found = Installation(kafka, prefix, tmp_path)
    await create_missing_topics(found.connection)
    return found


async def test_an_archive_that_was_made_to_skip_events_does_not_take_the_range_off(installation):
    """Its objects do not show what an operator skipped for it, so the replay ends as if it were whole."""
    lost = await installation.lose(installation.topics.events, NOW - 9_000)
    whole = await installation.plan(lost, archive="lake")
    assert (whole.job("ann", NOW).lost.start, whole.notes) == (100, ())
    moves = [{"flow": "live", "offsets": {str(NUMBER): offset}} for offset in (120, 140)]
    await record_change(installation.connection, Change("lake", "ann", NOW, "skipped", *moves))
    planned = await installation.plan(lost, archive="lake")
    assert planned.job("ann", NOW).lost is None
    assert planned.notes[0].startswith(
        "An operator skipped events for the archive lake: offsets 120 to 139 of"
    )
    assert f"`jira-relay destinations dismiss sentinel {lost.name}`" in planned.notes[0]


@pytest.mark.parametrize(
    ("topic", "collected_from", "fields"),
    [
        ("events", NOW - 200 * DAY_MS, {}),
        ("events", None, {}),
        ("backfill", None, {"backfill_from": NOW - 190 * DAY_MS, "added": NOW - 9 * DAY_MS}),
    ],
    ids=["live", "since the beginning", "history"],
)
async def test_a_range_that_is_older_than_the_source_stays(installation, topic, collected_from, fields):
    lost = await installation.lose(getattr(installation.topics, topic), collected_from, **fields)
    planned = await installation.plan(lost)
    assert planned.job("ann", NOW).lost is None
    assert "The source keeps records for 180 days" in planned.notes[-1]
    assert "the range stays on the list" in planned.notes[-1]


async def test_history_that_the_source_has_no_more_is_said_to_be_gone(installation):
    """Its window would end before it begins."""
    lost = await installation.lose(installation.topics.backfill, None, backfill_from=NOW - 400 * DAY_MS)
    with pytest.raises(InputError, match="so they are gone"):
        await installation.plan(lost)


async def test_a_refill_names_the_late_events_that_it_does_not_read(installation):
    lost = await installation.lose(installation.topics.events, NOW - DAY_MS)
    planned = await installation.plan(lost)
    assert (planned.request.from_ms, planned.lost.stop) == (NOW - DAY_MS - OVERLAP_MS, 160)
    assert "became visible late" in planned.notes[-1]


async def test_a_range_of_a_deleted_organization_stays(installation):
    """No producer reads it; one that was deleted before, or has its events elsewhere, lacks nothing."""
    lost = await installation.lose(installation.topics.events, NOW - DAY_MS)
    here, elsewhere = (
        [name for each in range(99) if (partition_of(name := f"site-{each}", 2) == NUMBER) == is_here][:2]
        for is_here in (True, False)
    )
    for name, at in ((here[0], NOW - 2 * DAY_MS), (elsewhere[0], NOW - 5_000)):
        await write_change(installation.connection, name, "ann", at, "deleted")
    assert (await installation.plan(lost)).lost is not None
    await write_change(installation.connection, here[1], "ann", NOW - 5_000, "deleted")
    planned = await installation.plan(lost)
    assert planned.lost is None
    assert f"organizations that were deleted: {here[1]} (" in planned.notes[-1]
    assert "the range stays on the list" in planned.notes[-1]


async def test_a_first_range_of_a_young_organization_is_brought_back_whole(installation):
    lost = await installation.lose(installation.topics.events, None, added=NOW - 20 * DAY_MS)
    assert (await installation.plan(lost)).lost is not None

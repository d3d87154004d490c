"""`jira-relay destinations lost` and `dismiss`."""

import pytest

from consumer.losses.lost_range import LostRange
from consumer.losses.store import LossStore
from management.organizations.store import kafka_errors_as_relay_errors
from relay.kafka.producer import RecordWriter
from relay.kafka.topics import Topics
from relay.timestamps import now_ms
from tests.cli.test_destinations import set_rule


@pytest.fixture
async def lost(connection, prefix):
    """Return two lost ranges of `sentinel`, and one of another destination whose name begins alike."""
    topics, now = Topics(prefix), now_ms()
    ranges = [
        LostRange("sentinel", topics.events, 2, 1200, 1800, 590, now - 9_000, now - 1_000, now - 500),
        LostRange("sentinel", topics.backfill, 0, 5, 7, 2, None, None, now),
        LostRange("sentinel2", topics.events, 2, 1200, 1800, 590, None, None, now),
    ]
    async with RecordWriter(connection) as writer:
        for each in ranges:
            await LossStore(connection, topics.destinations, writer).write(each)
        await writer.send(topics.destinations, b"sentinel2.lost.x.1.2", b"of a later release")
    return ranges


async def test_lost_ranges_are_listed_with_the_command_that_brings_them_back(command_line, lost):
    """The list, the offsets and the list of destinations name them; an archive of the settings is named where there is one."""
    set_rule(command_line)
    found = (await command_line("destinations", "lost", "sentinel", "--json")).json
    assert [each["entry"] for each in found] == ["events/2/1200", "backfill/0/5"]
    assert (found[0]["start"], found[0]["stop"], found[0]["lost"]) == (1200, 1800, 590)
    assert found[1]["collected_until"] is None
    shown = (await command_line("destinations", "lost", "sentinel")).out
    assert "590 offsets" in shown
    assert "--destination sentinel --lost events/2/1200" in " ".join(shown.split())
    live, history = (await command_line("destinations", "offsets", "sentinel", "--json")).json
    assert (live["lost_ranges"], history["lost_ranges"]) == (["events/2/1200"], ["backfill/0/5"])
    assert "destinations lost sentinel" in " ".join(
        (await command_line("destinations", "offsets", "sentinel")).out.split()
    )
    (listed,) = (await command_line("destinations", "list", "--json")).json
    assert listed["lost_ranges"] == 2
    assert "destinations lost sentinel" in listed["reason"]
    assert lost[0].name == "events/2/1200"


async def test_a_dismissed_range_is_listed_no_more_and_the_change_is_recorded(command_line, connection, lost):
    set_rule(command_line)
    wrong = await command_line("destinations", "dismiss", "sentinel", "events/2/1201", code=2)
    assert "it has: events/2/1200, backfill/0/5" in " ".join(wrong.err.split())
    done = (await command_line("destinations", "dismiss", "sentinel", "events/2/1200")).out
    assert "is dismissed" in done
    await command_line("destinations", "dismiss", "sentinel", "backfill/0/5", "--json")
    assert "has no lost range" in (await command_line("destinations", "lost", "sentinel")).out
    topic = Topics(connection.kafka.topic_prefix).destinations
    async with RecordWriter(connection) as writer:
        with kafka_errors_as_relay_errors(connection):
            others = await LossStore(connection, topic, writer).read("sentinel2")
    assert list(others.ranges.values()) == [lost[2]]
    assert others.unreadable == ("sentinel2.lost.x.1.2",)


async def test_a_range_of_a_later_release_is_named(command_line, lost):
    command_line.set_environment(
        RELAY_DESTINATIONS__SENTINEL2__KIND="sentinel",
        RELAY_DESTINATIONS__SENTINEL2__ENDPOINT="https://a.westeurope-1.ingest.monitor.azure.com",
        RELAY_DESTINATIONS__SENTINEL2__RULE_ID="dcr-" + 32 * "0",
    )
    found = await command_line("destinations", "lost", "sentinel2", code=1)
    assert "1 lost ranges of sentinel2 cannot be read" in " ".join(found.err.split())
    assert "events/2/1200" in found.out
    assert lost

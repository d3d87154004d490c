"""`jira-relay destinations`."""

from consumer.targets.store import ClaimStore
from relay.kafka import OffsetAndMetadata, TopicPartition
from relay.kafka.group_offsets import open_group
from relay.kafka.producer import ProducerRecord
from relay.kafka.topics import Topics
from relay.kafka.transactions import TransactionalProducer
from relay.timestamps import to_iso
from tests.support.messages import AN_HOUR_AGO

RULE = {"ENDPOINT": "https://a.westeurope-1.ingest.monitor.azure.com", "RULE_ID": "dcr-" + 32 * "0"}


def set_rule(command_line, **changes):
    command_line.set_environment(
        **{f"RELAY_DESTINATIONS__SENTINEL__{name}": value for name, value in (RULE | changes).items()}
    )


async def test_confirming_makes_the_destination_belong_to_the_target_of_the_settings(
    command_line, connection, prefix
):
    """The command prints both targets; running it again changes nothing."""
    set_rule(command_line)
    first = (await command_line("destinations", "confirm", "sentinel", "--json")).json
    set_rule(command_line, RULE_ID="dcr-" + 32 * "1")
    shown = (await command_line("destinations", "confirm", "sentinel")).out
    again = (await command_line("destinations", "confirm", "sentinel", "--json")).json

    assert first["before"] is None
    assert "dcr-" + 32 * "0" in first["target"]
    assert "Before: sentinel: endpoint https://a." in shown
    assert again["before"] == again["target"] != first["target"]
    assert again["history_before"] == again["history_target"] != first["history_target"]
    store = ClaimStore(connection, Topics(prefix).destinations)
    for flow, named in (("live", "target"), ("history", "history_target")):
        claims = await store.read("sentinel", flow)
        assert claims.current.target.address == again[named]


async def test_a_name_that_the_settings_do_not_have_is_refused(command_line):
    """A typing error claims nothing."""
    set_rule(command_line)
    assert "they have: sentinel" in (await command_line("destinations", "confirm", "sentinle", code=2)).err


async def test_a_destination_is_paused_once_and_resumed(command_line):
    """The list shows who paused it, and a second pause says that it is paused."""
    set_rule(command_line)
    assert "sentinel is paused" in (await command_line("destinations", "pause", "sentinel")).out
    assert "paused already" in (await command_line("destinations", "pause", "sentinel")).out
    (shown,) = (await command_line("destinations", "list", "--json")).json
    assert (shown["name"], shown["kind"], shown["state"]) == ("sentinel", "sentinel", "paused")
    assert "@" in shown["reason"]
    resumed = (await command_line("destinations", "resume", "sentinel", "--json")).json
    assert resumed == {"destination": "sentinel", "state": "running", "changed": True}
    assert "no consumer" in (await command_line("destinations", "list")).out
    assert "they have: sentinel" in (await command_line("destinations", "pause", "splunk", code=2)).err


async def test_offsets_of_a_destination_that_nobody_reads_are_shown_without_a_number(command_line):
    set_rule(command_line)
    live, history = (await command_line("destinations", "offsets", "sentinel", "--json")).json
    assert (live["flow"], live["consumers"], history["flow"]) == ("live", 0, "history")
    assert {each["committed"] for each in live["partitions"]} == {None}
    assert "no consumer" in (await command_line("destinations", "offsets", "sentinel")).out


async def test_a_time_that_is_none_moves_nothing(command_line):
    """The error shows how a time is written."""
    set_rule(command_line)
    for text in ("yesterday", "2026-13-01", "10:00"):
        found = await command_line("destinations", "rewind", "sentinel", "--to", text, code=2)
        assert "2026-11-25T08:00Z" in found.err


async def test_offsets_are_moved_by_a_command_that_counts_first(command_line, connection, prefix):
    """Without a terminal and --yes it counts and moves nothing; with it, the offsets are those that it printed."""
    set_rule(command_line)
    topics = Topics(prefix)
    publisher = await TransactionalProducer.open(connection, f"{prefix}.test")
    await publisher.publish(
        [ProducerRecord(topics.events, 0, b"acme", b"%d" % n, AN_HOUR_AGO + 1000 * n) for n in range(10)]
    )
    await publisher.discard()
    async with open_group(connection, f"{prefix}.sentinel", topics.events) as group:
        await group.commit({TopicPartition(topics.events, 0): OffsetAndMetadata(8, "")})

    rewind = ("destinations", "rewind", "sentinel", "--to", to_iso(AN_HOUR_AGO + 5000))
    assert "--yes" in (await command_line(*rewind, code=2)).err
    counted = (await command_line(*rewind, "--dry-run", "--json")).json
    assert (counted["events"], counted["moved"], counted["by_organization"]) == (3, False, {"acme": 3})
    assert "3 events would be delivered again" in (await command_line(*rewind, "--yes")).out
    assert await committed(command_line) == 5
    assert "it is there already" in (await command_line(*rewind, "--yes")).out
    skipped = (await command_line("destinations", "skip", "sentinel", "--to", "end", "--yes", "--json")).json
    assert (skipped["events"], skipped["moved"]) == (5, True)
    assert await committed(command_line) == 11


async def committed(command_line):
    live, _ = (await command_line("destinations", "offsets", "sentinel", "--json")).json
    return live["partitions"][0]["committed"]

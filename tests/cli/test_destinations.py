"""`jira-relay destinations`."""

from consumer.targets.store import ClaimStore
from relay.kafka.topics import Topics

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

"""The settings as the command line shows and checks them, without a connection."""

import pytest

from management.settings import load
from relay.credentials.stores import cache
from simulators.secret_stores.key_vault import KeyVaultSimulator
from tests.support.secret_stores import running

SECRETS = {
    "RELAY_KAFKA__SASL_PASSWORD": "secret-of-kafka",
    "RELAY_SCHEMA_REGISTRY__PASSWORD": "secret-of-registry",
    "RELAY_CONSOLE__TOKEN": "secret-of-console-with-32-letters!",
    "RELAY_DESTINATIONS__HOOK__URL": "https://hook.example/secret-of-hook",
    "RELAY_DESTINATIONS__HOOK__HEADERS": '{"X-Key": "secret-of-header"}',
}
DESTINATION = """
[destinations.soc_1]
kind = "elasticsearch"
endpoint = "https://elastic:9200"
where = "category <> 'it''s' AND summary LIKE '%x%'"
by_organization = { acme = "logs-acme", "株式会社" = "logs-kabu" }
hide = { remoteAddress = "mask" }
start = "2026-11-25T00:00:00Z"
"""
PLAIN = '[kafka]\nbootstrap = "kafka-1:9093"\n' + DESTINATION
FILE = """
[kafka]
bootstrap = "kafka-1:9093"
security_protocol = "SASL_SSL"
sasl_mechanism = "SCRAM-SHA-512"
sasl_username = "relay"

[schema_registry]
url = "https://registry:8081"
username = "relay"

[destinations.hook]
kind = "http"
"""


@pytest.fixture
def written(command_line_without_kafka, tmp_path):
    """Return a function that writes relay.toml, and unsets the address in the environment."""

    def write(text):
        command_line_without_kafka.set_environment(RELAY_KAFKA__BOOTSTRAP="")
        (tmp_path / "relay.toml").write_text(text)

    return write


async def test_each_value_has_its_source(command_line_without_kafka, written):
    """A value comes from a variable, from the file, or is a default; the variable wins."""
    written('[kafka]\ntopic_prefix = "file"\nshards = 4\n')
    command_line_without_kafka.set_environment(RELAY_KAFKA__SHARDS="8")
    shown = (await command_line_without_kafka("config", "show", "kafka")).out.splitlines()

    assert shown[0] == "[kafka]"
    assert 'topic_prefix = "file"  # relay.toml' in shown
    assert "shards = 8  # RELAY_KAFKA__SHARDS" in shown
    assert "replication_factor = 3  # default" in shown
    assert "# bootstrap: not set" in shown
    only_set = await command_line_without_kafka("config", "show", "--set", "--json")
    assert {one["setting"]: one["source"] for one in only_set.json} == {
        "kafka.topic_prefix": "relay.toml",
        "kafka.shards": "RELAY_KAFKA__SHARDS",
        "secrets.key_file": "RELAY_SECRETS__KEY_FILE",
    }


async def test_no_secret_is_shown(command_line_without_kafka, written):
    """A secret is named with its source; its value is neither in the text nor in the document."""
    written(FILE)
    command_line_without_kafka.set_environment(**SECRETS)
    text = (await command_line_without_kafka("config", "show")).out
    document = await command_line_without_kafka("config", "show", "--json")

    assert "# sasl_password: set, and not shown  # RELAY_KAFKA__SASL_PASSWORD" in text
    assert "secret-of" not in text + document.out
    command_line_without_kafka.set_environment(RELAY_KAFKA__TOPIC_PREFIX="secret-of-kafka")
    for form in ((), ("--json",)):  # nor where a value repeats it
        repeated = (await command_line_without_kafka("config", "show", "kafka", *form)).out
        assert ("secret-of" in repeated, "[secret]" in repeated) == (False, True)
    by_name = {one["setting"]: one for one in document.json}
    assert {name for name, one in by_name.items() if one["secret"] and one["set"]} == {
        "kafka.sasl_password",
        "schema_registry.password",
        "console.token",
        "destinations.hook.url",
        "destinations.hook.headers",
    }
    assert {one["value"] for one in by_name.values() if one["secret"]} == {None}


async def test_the_output_is_a_settings_file(command_line_without_kafka, written, tmp_path):
    """A file made of the output has the same settings: lists, tables, instants and texts of any script."""
    written(PLAIN)
    shown = (await command_line_without_kafka("config", "show")).out
    (tmp_path / "again.toml").write_text(shown)

    assert load(tmp_path / "again.toml", {}) == load(tmp_path / "relay.toml", {}).model_copy(
        update={"secrets": load(tmp_path / "again.toml", {}).secrets}
    )


async def test_an_unknown_name_is_refused(command_line_without_kafka, written):
    """A name that is neither group nor setting ends with 2."""
    written("")
    assert "kafk is neither" in (await command_line_without_kafka("config", "show", "kafk", code=2)).err


async def test_a_check_says_where_settings_come_from(command_line_without_kafka, written):
    """A check without a fault names the file, the variables, the Kafka and the destinations."""
    written(PLAIN)
    checked = (await command_line_without_kafka("config", "check")).out.splitlines()

    assert checked == [
        "ok  settings: valid, from relay.toml and 1 variable of the environment",
        "ok  secrets: API keys can be encrypted",
        "ok  Kafka: kafka-1:9093",
        "ok  destinations: soc_1 (elasticsearch)",
    ]


async def test_a_check_names_the_key_that_up_makes(command_line_without_kafka, written):
    """With the embedded Kafka and no key in the settings, API keys are encrypted all the same."""
    command_line_without_kafka.set_environment(RELAY_SECRETS__KEY_FILE="")
    written("")
    checked = await command_line_without_kafka("config", "check")
    assert "`jira-relay up` makes the key that encrypts API keys, in " in checked.out


async def test_a_check_names_every_fault(command_line_without_kafka, written, tmp_path):
    """Each fault is a line with its source; the exit code is 2. A key that cannot be used is one of them."""
    written('[kafka]\nshards = 0\nreplication_factor = "many"\n')
    refused = await command_line_without_kafka("config", "check", code=2)
    assert [line.partition(" ")[0] for line in refused.err.splitlines()] == [
        "kafka.shards",
        "kafka.replication_factor",
    ]
    written("")
    (tmp_path / "secrets.key").write_text("no key")
    assert "secrets" in (await command_line_without_kafka("config", "check", code=2)).err


async def test_a_check_names_the_stores_that_it_read(command_line_without_kafka, written, monkeypatch):
    """The secret is read from the store, is counted, and is never shown; its name in the settings is that of its form."""
    async with running(KeyVaultSimulator()) as vault:
        vault.put("registry", "secret-of-the-vault")
        for name, value in vault.environment.items():
            monkeypatch.setenv(name, value)
        written(
            f'{PLAIN}[schema_registry]\nurl = "https://registry"\nusername = "relay"\n'
            'password_ref = "azure-key-vault:acme-kv/registry"\n'
            f'[secret_stores]\nazure_endpoint = "{vault.url}"\nazure_credential = "managed-identity"\n'
        )
        checked = await command_line_without_kafka("config", "check")
        shown = await command_line_without_kafka("config", "show", "schema_registry")
        vault.forbidden.add("registry")
        cache._opened.clear()
        refused = await command_line_without_kafka("config", "check", code=2)

    assert "ok  references: 1 read from azure-key-vault" in checked.out.splitlines()
    assert "# password: set, and not shown  # relay.toml" in shown.out.splitlines()
    assert (
        "schema_registry.password_ref (relay.toml): The secret azure-key-vault:acme-kv/registry"
        in refused.err
    )
    assert "secret-of-the-vault" not in checked.output + shown.output + refused.output

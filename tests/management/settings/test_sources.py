"""The sources of settings: defaults, file and environment."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from management.settings import Settings, load
from tests.support.settings import IN_CLEAR, RULE, SENTINEL, error_or_empty, write_config


def test_every_setting_has_a_default():
    """An empty environment without a file gives the default settings."""
    assert load(environ={}) == Settings()


def test_the_environment_overrides_the_file():
    """A variable overrides the file, and settings without a variable keep the value of the file."""
    config = write_config('[kafka]\nbootstrap = "a:1"\nshards = 3\n')

    kafka = load(config, {"RELAY_KAFKA__BOOTSTRAP": "b:2"}).kafka

    assert (kafka.bootstrap, kafka.shards) == ("b:2", 3)


def test_relay_toml_in_the_working_directory_is_the_default_file():
    """Without --config, relay.toml of the working directory is read."""
    Path("relay.toml").write_text("[kafka]\nshards = 5\n")

    assert load(environ={}).kafka.shards == 5


def test_a_destination_takes_its_kind_from_its_name():
    """Variables alone define a destination, and its kind defaults to its name."""
    (name, sentinel), *others = load(environ=SENTINEL).destinations.items()

    assert (name, sentinel.kind, sentinel.rule_id, others) == ("sentinel", "sentinel", RULE, [])
    assert (sentinel.stream, sentinel.history_stream) == (
        "Custom-JiraAuditRelay",
        "Custom-JiraAuditRelayHistory",
    )


def test_file_and_environment_define_one_destination_together():
    """Fields of a destination in the file and in the environment are merged."""
    config = write_config(
        f'[destinations.eu]\nkind = "sentinel"\nendpoint = "https://x.example"\nrule_id = "{RULE}"\n'
    )

    assert load(config, {"RELAY_DESTINATIONS__EU__CLOUD": "china"}).destinations["eu"].cloud == "china"


def test_foreign_variables_are_ignored():
    """References to API keys, Kubernetes' own variables and empty variables are not settings."""
    environ = {
        "RELAY_KEY_ACME": "key",
        "RELAY_SERVICE_HOST": "10.0.0.1",
        "RELAY_SERVICE_PORT_HTTP": "80",
        "RELAY_CONSOLE_PORT": "tcp://10.0.0.1:80",
        "RELAY_CONSOLE_PORT_80_TCP_ADDR": "10.0.0.1",
        "RELAY_KAFKA__BOOTSTRAP": "",
    }

    assert load(environ=environ) == Settings()


@pytest.mark.parametrize(
    "environ",
    [
        {"RELAY_KAFKA__BOOTSTRAP": "127.0.0.1:9092,localhost:9093,[::1]:9094"},
        {"RELAY_KAFKA__BOOTSTRAP": "kafka:9092", "RELAY_KAFKA__SASL_MECHANISM": "SCRAM-SHA-512"},
        {"RELAY_KAFKA__BOOTSTRAP": "kafka:9092", "RELAY_KAFKA__SECURITY_PROTOCOL": "SASL_SSL"},
    ],
)
def test_a_login_without_tls_is_accepted_where_it_reveals_no_password(environ):
    """A login without TLS is accepted to this machine, and with a mechanism that sends no password."""
    assert error_or_empty(IN_CLEAR | environ) == ""


def test_a_time_is_a_toml_time_or_an_iso_text():
    """The start of consumers is accepted as a TOML time in the file and as an ISO time in the environment."""
    moment = datetime(2026, 11, 1, tzinfo=UTC)

    assert load(write_config("[consumer]\nstart = 2026-11-01T00:00:00Z"), {}).consumer.start == moment
    assert load(environ={"RELAY_CONSUMER__START": "2026-11-01T00:00:00Z"}).consumer.start == moment

"""Settings that are refused: a line for each fault, with the name, the place and what is allowed."""

import base64
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies

from management.settings import Settings
from relay.config.names import is_secret, setting_fields, variable
from tests.support.settings import (
    CANARY,
    IN_CLEAR,
    OAUTH,
    REGISTRY,
    RULE,
    SENTINEL,
    destination_of,
    error_or_empty,
    load_error,
    write_config,
)


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("RELAY_KAFKA__BOOTSTRP", "RELAY_KAFKA__BOOTSTRAP"),
        ("RELAY_KAFKA_BOOTSTRAP", "RELAY_KAFKA__BOOTSTRAP"),
        ("RELAY_kafka__bootstrap", "RELAY_KAFKA__BOOTSTRAP"),
        ("RELAY_KAFKA__SASL_PASWORD_FILE", "RELAY_KAFKA__SASL_PASSWORD_FILE"),
        ("RELAY_DESTINATIONS__SENTINEL__RULEID", "RELAY_DESTINATIONS__SENTINEL__RULE_ID"),
        ("RELAY_LOG_LEVEL", "RELAY_TELEMETRY__LOG_LEVEL"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest_name(key, nearest):
    """The error names the unknown variable and the nearest known one, and does not show the value."""
    message = load_error(environ={key: CANARY})

    assert key in message
    assert f"did you mean {nearest}?" in message
    assert CANARY not in message


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ('[kafka]\nbootstap = "x"', "kafka.bootstrap"),
        ("[kakfa]\nshards = 3", "kafka"),
        ('[destinations.eu]\nruleid = "x"', "destinations.eu.rule_id"),
    ],
)
def test_an_unknown_name_in_the_file_is_refused_with_the_nearest_name(text, nearest):
    """The error names the file, the unknown name and the nearest known one."""
    message = load_error(write_config(text))

    assert "settings.toml" in message
    assert f"did you mean {nearest}?" in message


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("KAFKA__BOOTSTRAP", "localhost", "host:port"),
        ("KAFKA__BOOTSTRAP", "a:1,,b:2", "host:port"),
        ("KAFKA__PROFILE", "msk", "'kafka' or 'event-hubs'"),
        ("KAFKA__TOPIC_PREFIX", "jira audit", "letters, digits"),
        ("KAFKA__SHARDS", "0", "greater than or equal to 1"),
        ("KAFKA__SHARDS", "many", "integer"),
        ("KAFKA__CA_FILE", "/nowhere/ca.pem", "existing file"),
        ("PRODUCER__INTERVAL_SECONDS", "0", "greater than or equal to 1"),
        ("PRODUCER__INTERVAL_SECONDS", "nan", "finite"),
        ("PRODUCER__INTERVAL_SECONDS", "1e999", "finite"),
        ("PRODUCER__SETTLE_SECONDS", "-1", "greater than or equal to 0"),
        ("KAFKA__OAUTH_TOKEN_URL", "http://login.example.com/token", "https"),
        ("PRODUCER__GATEWAY_URL", "http://api.atlassian.com", "https"),
        ("PRODUCER__ALLOWED_HOSTS", '["https://x"]', "host:port"),
        ("PRODUCER__ALLOWED_HOSTS", "jira.example.com", "JSON list"),
        ("SCHEMA_REGISTRY__URL", "registry:8081", "https://"),
        ("SCHEMA_REGISTRY__AUTO_REGISTER", "maybe", "boolean"),
        ("CONSUMER__START", "yesterday", "earliest, latest, or a time with its zone"),
        ("CONSUMER__START", "2026-11-01T00:00:00", "its zone"),
        ("DESTINATIONS__SENTINEL__ENDPOINT", "http://relay.example", "https"),
        ("DESTINATIONS__SENTINEL__RULE_ID", "my-rule", "32 hexadecimal digits"),
        ("DESTINATIONS__SENTINEL__STREAM", "JiraAudit", "Custom-"),
        ("TELEMETRY__LISTEN", "9464", "host:port"),
        ("TELEMETRY__LOG_LEVEL", "loud", "'warning'"),
        ("EMBEDDED__PORT", "70000", "less than or equal to 65535"),
    ],
)
def test_a_wrong_value_gives_one_line(name, value, allowed):
    """The error about a wrong value is one line with the setting, the variable and the allowed values."""
    key = f"RELAY_{name}"

    message = load_error(environ=SENTINEL | {key: value})

    assert "\n" not in message
    assert message.startswith(name.lower().replace("__", "."))
    assert key in message
    assert allowed in message


def test_every_fault_has_a_line():
    """Two faults give two lines, so an operator sees both at once."""
    message = load_error(environ={"RELAY_KAFKA__SHARDS": "x", "RELAY_EMBEDDED__PORT": "y"})

    assert len(message.splitlines()) == 2


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"RELAY_DESTINATIONS__SENTINEL__RULE_ID": RULE}, "destinations.sentinel.endpoint is required"),
        ({"RELAY_DESTINATIONS__EU__RULE_ID": RULE}, "destinations.eu.kind is required"),
        ({"RELAY_KAFKA__SECURITY_PROTOCOL": "SASL_SSL"}, "needs kafka.sasl_mechanism"),
        ({"RELAY_KAFKA__SASL_USERNAME": "u"}, "set it to SASL_SSL"),
        ({"RELAY_KAFKA__CA_FILE": "ca.pem"}, "set it to SSL or SASL_SSL"),
        (
            {"RELAY_KAFKA__SECURITY_PROTOCOL": "SASL_SSL", "RELAY_KAFKA__SASL_MECHANISM": "PLAIN"},
            "needs kafka.sasl_username",
        ),
        ({"RELAY_KAFKA__SECURITY_PROTOCOL": "SSL", "RELAY_KAFKA__KEY_FILE": "ca.pem"}, "belong together"),
        (
            OAUTH,
            "OAUTHBEARER needs kafka.oauth_token_url, kafka.oauth_client_id and kafka.oauth_client_secret",
        ),
        (OAUTH | {"RELAY_KAFKA__SASL_PASSWORD": CANARY}, "are not used with OAUTHBEARER"),
        (
            OAUTH | {"RELAY_KAFKA__OAUTH_CREDENTIAL": "default", "RELAY_KAFKA__OAUTH_CLIENT_SECRET": CANARY},
            "both provide tokens",
        ),
        ({"RELAY_KAFKA__OAUTH_CLIENT_SECRET": CANARY}, "kafka.sasl_mechanism is not OAUTHBEARER"),
        (
            IN_CLEAR | {"RELAY_KAFKA__BOOTSTRAP": "127.0.0.1:9092,kafka:9092"},
            "send its password without encryption",
        ),
        (
            OAUTH
            | {
                "RELAY_KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT",
                "RELAY_KAFKA__OAUTH_CREDENTIAL": "default",
                "RELAY_KAFKA__BOOTSTRAP": "10.0.0.7:9092",
            },
            "send its token without encryption",
        ),
        (SENTINEL | {"RELAY_DESTINATIONS__SENTINEL__CLOUD": "usgov"}, "belongs to the cloud public"),
        ({"RELAY_SECRETS__KEYS": '["x"]', "RELAY_SECRETS__KEY_FILE": "ca.pem"}, "are both set"),
        (
            REGISTRY
            | {
                "RELAY_SCHEMA_REGISTRY__PASSWORD": CANARY,
                "RELAY_SCHEMA_REGISTRY__PASSWORD_FILE": "ca.pem",
            },
            "schema_registry.password and schema_registry.password_file are both set",
        ),
        (
            {
                "RELAY_SCHEMA_REGISTRY__URL": "http://registry:8081",
                "RELAY_SCHEMA_REGISTRY__USERNAME": "u",
                "RELAY_SCHEMA_REGISTRY__PASSWORD": CANARY,
            },
            "sent without encryption",
        ),
    ],
)
def test_contradicting_settings_are_refused(environ, expected):
    """Settings that are missing or contradict each other are refused, and the error shows no secret."""
    Path("ca.pem").touch()

    message = load_error(environ=environ)

    assert expected in message
    assert CANARY not in message


def test_a_destination_may_not_be_called_producer():
    """A destination called producer is refused, because it would join the producers' consumer group."""
    environ = {key.replace("SENTINEL", "PRODUCER"): value for key, value in SENTINEL.items()}

    assert "group has that name" in load_error(
        environ=environ | {"RELAY_DESTINATIONS__PRODUCER__KIND": "sentinel"}
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[kafka", "not valid TOML"),
        ("RELAY_KAFKA__BOOTSTRAP=a:1", "lines for the environment"),
        ("[kafka]\nbootstrap = a:1", "Write texts in quotes"),
        ("kafka = 3", "must be a table"),
        ("[destinations]\nsentinel = 3", "must be a table"),
        ("[producer]\ninterval_seconds = true", "must be a number"),
        ('[producer]\nallowed_hosts = "x"', "must be a list"),
        ("[consumer]\nstart = 2026-11-01T00:00:00", "its zone"),
        ("[kafka]\nbootstrap = 3", "kafka.bootstrap = 3 (settings.toml)"),
    ],
)
def test_a_wrong_file_is_refused_by_name(text, expected):
    """The error about invalid TOML, or about a value of a wrong type, names the file."""
    message = load_error(write_config(text))

    assert expected in message
    assert "settings.toml" in message


def test_an_unreadable_file_is_refused():
    """A missing file, a directory and a binary file each give an error with the reason."""
    Path("binary.toml").write_bytes(b"\xff\xfe")

    assert "cannot be read: No such file" in load_error(Path("nowhere.toml"))
    assert "cannot be read: Is a directory" in load_error(Path())
    assert "not UTF-8" in load_error(Path("binary.toml"))


@given(strategies.sampled_from(sorted(setting_fields(Settings))), strategies.text(min_size=1, max_size=60))
@settings(max_examples=300)
def test_any_text_gives_settings_or_an_error(name, text):
    """Any text in a variable gives settings or a SettingsError, which never shows the text of a secret."""
    destination, environ = destination_of(name)
    key = variable(name).replace("<NAME>", destination)
    canary = base64.b32encode(text.encode("utf-8", "replace")).decode().rstrip("=") + "canary"
    field = setting_fields(Settings)[name]
    value = canary if is_secret(field) else text

    error = error_or_empty(environ | {key: value})

    assert "nothing at all" not in error
    assert not is_secret(field) or value not in error

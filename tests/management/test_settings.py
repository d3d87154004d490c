import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies

from management.settings import Settings, load
from management.settings_page import render_page
from relay.config.sources import accepts_file, generalize, is_secret, models_by_kind, setting_fields, variable
from relay.credentials.redaction import secrets_in
from relay.errors import SettingsError

CANARY = "canary-5f1c9e-secret"
RULE = "dcr-" + "0a" * 16
IN_CLEAR = {
    "RELAY_KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    "RELAY_KAFKA__SASL_MECHANISM": "PLAIN",
    "RELAY_KAFKA__SASL_USERNAME": "relay",
    "RELAY_KAFKA__SASL_PASSWORD": CANARY,
}
OAUTH = {"RELAY_KAFKA__SECURITY_PROTOCOL": "SASL_SSL", "RELAY_KAFKA__SASL_MECHANISM": "OAUTHBEARER"}
SENTINEL = {
    "RELAY_DESTINATIONS__SENTINEL__ENDPOINT": "https://relay-a1b2.westeurope-1.ingest.monitor.azure.com",
    "RELAY_DESTINATIONS__SENTINEL__RULE_ID": RULE,
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def destination_of(name):
    """A destination with this setting: its kind's key as a name, and the variables that the kind needs."""
    if name[0] != "destinations" or name[2] in models_by_kind(Settings)["sentinel"].model_fields:
        return "SENTINEL", SENTINEL
    kind, model = next(
        (kind, model) for kind, model in models_by_kind(Settings).items() if name[2] in model.model_fields
    )
    needed = {setting: field for setting, field in model.model_fields.items() if field.is_required()}
    return "OTHER", {
        f"RELAY_DESTINATIONS__OTHER__{setting.upper()}": kind if setting == "kind" else str(field.examples[0])
        for setting, field in needed.items()
    }


def load_error(config=None, environ=None):
    with pytest.raises(SettingsError) as caught:
        load(config, environ or {})
    return str(caught.value)


def single_error(environ):
    """What is said about these variables; empty if they are taken."""
    try:
        load(environ=environ)
    except SettingsError as error:
        return str(error) or "nothing at all"
    return ""


def write_config(text):
    path = Path("settings.toml")
    path.write_text(text, "utf-8")
    return path


def test_every_secret_among_settings_is_known_to_the_redactor():
    """Whatever setting is a secret, of a list or not, is among those that are kept out of the logs."""
    secrets = [name for name, field in setting_fields(Settings).items() if is_secret(field)]
    environ = {
        variable(name): json.dumps([f"{CANARY}-{name}"] * 2)
        if name == ("secrets", "keys")
        else f"{CANARY}-{name}"
        for name in secrets
    }
    others = {
        "RELAY_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
        "RELAY_SCHEMA_REGISTRY__URL": "https://registry",
        "RELAY_SCHEMA_REGISTRY__USERNAME": "relay",
    }
    password = {"RELAY_KAFKA__SASL_MECHANISM": "PLAIN", "RELAY_KAFKA__SASL_USERNAME": "relay"}
    token = OAUTH | {
        "RELAY_KAFKA__OAUTH_TOKEN_URL": "https://login",
        "RELAY_KAFKA__OAUTH_CLIENT_ID": "relay",
    }
    known = set()
    for login, excluded in (
        (password, "RELAY_KAFKA__OAUTH_CLIENT_SECRET"),
        (token, "RELAY_KAFKA__SASL_PASSWORD"),
    ):
        whole = environ | others | login | SENTINEL
        del whole[excluded]
        known |= set(secrets_in(load(environ=whole)))

    assert known == {f"{CANARY}-{name}" for name in secrets}


def test_everything_has_a_default():
    """Nothing needs to be set, and nothing is taken from anywhere then."""
    assert load(environ={}) == Settings()


def test_environment_wins_over_the_file():
    """The environment wins over the file, and what it does not name stays as the file says."""
    config = write_config('[kafka]\nbootstrap = "a:1"\nshards = 3\n')

    kafka = load(config, {"RELAY_KAFKA__BOOTSTRAP": "b:2"}).kafka

    assert (kafka.bootstrap, kafka.shards) == ("b:2", 3)


def test_relay_toml_in_the_working_directory_is_found():
    """Without --config, relay.toml of the working directory counts."""
    Path("relay.toml").write_text("[kafka]\nshards = 5\n")

    assert load(environ={}).kafka.shards == 5


def test_destination_is_named_by_the_environment():
    """A destination is given by variables alone, and its kind is its name."""
    (name, sentinel), *others = load(environ=SENTINEL).destinations.items()

    assert (name, sentinel.kind, sentinel.rule_id, others) == ("sentinel", "sentinel", RULE, [])
    assert (sentinel.stream, sentinel.history_stream) == (
        "Custom-JiraAuditRelay",
        "Custom-JiraAuditRelayHistory",
    )


def test_destination_may_be_written_in_two_places():
    """What the file says about a destination and what the environment says about it are one."""
    config = write_config(
        f'[destinations.eu]\nkind = "sentinel"\nendpoint = "https://x.example"\nrule_id = "{RULE}"\n'
    )

    assert load(config, {"RELAY_DESTINATIONS__EU__CLOUD": "china"}).destinations["eu"].cloud == "china"


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
def test_unknown_variable_is_refused_with_the_nearest(key, nearest):
    """An unknown variable is refused by name, with the nearest known one, and without its value."""
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
def test_unknown_name_in_the_file_is_refused_with_the_nearest(text, nearest):
    """An unknown name in the file is refused with the file and the nearest known name."""
    message = load_error(write_config(text))

    assert "settings.toml" in message
    assert f"did you mean {nearest}?" in message


def test_foreign_variables_are_left_alone():
    """References to API keys, Kubernetes' own variables and empty ones are no settings."""
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
    ("name", "value", "allowed"),
    [
        ("KAFKA__BOOTSTRAP", "localhost", "host:port"),
        ("KAFKA__BOOTSTRAP", "a:1,,b:2", "host:port"),
        ("KAFKA__PROFILE", "msk", "'kafka' or 'event-hubs'"),
        ("KAFKA__TOPIC_PREFIX", "jira audit", "letters, digits"),
        ("KAFKA__SHARDS", "0", "greater than or equal to 1"),
        ("KAFKA__SHARDS", "many", "integer"),
        ("KAFKA__CA_FILE", "/nowhere/ca.pem", "a file"),
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
def test_wrong_value_is_told_in_one_line(name, value, allowed):
    """A wrong value is refused in one line with the setting, the variable and what is allowed."""
    key = f"RELAY_{name}"

    message = load_error(environ=SENTINEL | {key: value})

    assert "\n" not in message
    assert message.startswith(name.lower().replace("__", "."))
    assert key in message
    assert allowed in message


def test_every_fault_is_told():
    """Two faults give two sentences, so that nobody starts twice to learn of both."""
    message = load_error(environ={"RELAY_KAFKA__SHARDS": "x", "RELAY_EMBEDDED__PORT": "y"})

    assert len(message.splitlines()) == 2


@pytest.mark.parametrize(
    "environ",
    [
        {"RELAY_KAFKA__BOOTSTRAP": "127.0.0.1:9092,localhost:9093,[::1]:9094"},
        {"RELAY_KAFKA__BOOTSTRAP": "kafka:9092", "RELAY_KAFKA__SASL_MECHANISM": "SCRAM-SHA-512"},
        {"RELAY_KAFKA__BOOTSTRAP": "kafka:9092", "RELAY_KAFKA__SECURITY_PROTOCOL": "SASL_SSL"},
    ],
)
def test_a_login_may_be_in_clear_where_nobody_can_read_it(environ):
    """To this machine; or where it gives nothing away."""
    assert single_error(IN_CLEAR | environ) == ""


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"RELAY_DESTINATIONS__SENTINEL__RULE_ID": RULE}, "destinations.sentinel.endpoint is needed"),
        ({"RELAY_DESTINATIONS__EU__RULE_ID": RULE}, "destinations.eu.kind is needed"),
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
        (OAUTH | {"RELAY_KAFKA__SASL_PASSWORD": CANARY}, "have no use with OAUTHBEARER"),
        (
            OAUTH | {"RELAY_KAFKA__OAUTH_CREDENTIAL": "default", "RELAY_KAFKA__OAUTH_CLIENT_SECRET": CANARY},
            "two ways to a token",
        ),
        ({"RELAY_KAFKA__OAUTH_CLIENT_SECRET": CANARY}, "kafka.sasl_mechanism is not OAUTHBEARER"),
        (IN_CLEAR | {"RELAY_KAFKA__BOOTSTRAP": "127.0.0.1:9092,kafka:9092"}, "send its password in clear"),
        (
            OAUTH
            | {
                "RELAY_KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT",
                "RELAY_KAFKA__OAUTH_CREDENTIAL": "default",
                "RELAY_KAFKA__BOOTSTRAP": "10.0.0.7:9092",
            },
            "send its token in clear",
        ),
        (SENTINEL | {"RELAY_DESTINATIONS__SENTINEL__CLOUD": "usgov"}, "belongs to the cloud public"),
        ({"RELAY_SECRETS__KEYS": '["x"]', "RELAY_SECRETS__KEY_FILE": "ca.pem"}, "are both set"),
        (
            {"RELAY_CONSOLE__TOKEN": CANARY, "RELAY_CONSOLE__TOKEN_FILE": "ca.pem"},
            "console.token and console.token_file are both set",
        ),
        (
            {
                "RELAY_SCHEMA_REGISTRY__URL": "http://registry:8081",
                "RELAY_SCHEMA_REGISTRY__USERNAME": "u",
                "RELAY_SCHEMA_REGISTRY__PASSWORD": CANARY,
            },
            "sent in clear",
        ),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(environ, expected):
    """What is missing or contradicts is refused in a sentence, without a secret."""
    Path("ca.pem").touch()

    message = load_error(environ=environ)

    assert expected in message
    assert CANARY not in message


def test_destination_cannot_take_the_producers_group():
    """A destination called producer would join the producers' consumer group, and is refused."""
    environ = {key.replace("SENTINEL", "PRODUCER"): value for key, value in SENTINEL.items()}

    assert "group has that name" in load_error(
        environ=environ | {"RELAY_DESTINATIONS__PRODUCER__KIND": "sentinel"}
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[kafka", "not valid TOML"),
        ("kafka = 3", "must be a table"),
        ("[destinations]\nsentinel = 3", "must be a table"),
        ("[producer]\ninterval_seconds = true", "must be a number"),
        ('[producer]\nallowed_hosts = "x"', "must be a list"),
        ("[consumer]\nstart = 2026-11-01T00:00:00", "its zone"),
        ("[kafka]\nbootstrap = 3", "kafka.bootstrap = 3 (settings.toml)"),
    ],
)
def test_wrong_file_is_told(text, expected):
    """A file that is no TOML, or has a value of a wrong type, is refused with its name."""
    message = load_error(write_config(text))

    assert expected in message
    assert "settings.toml" in message


def test_unreadable_file_is_told():
    """A file that is missing, a directory, or not text gives a sentence."""
    Path("binary.toml").write_bytes(b"\xff\xfe")

    assert "cannot be read: No such file" in load_error(Path("nowhere.toml"))
    assert "cannot be read: Is a directory" in load_error(Path())
    assert "not UTF-8" in load_error(Path("binary.toml"))


def test_times_are_understood():
    """A start may be a TOML time, or an ISO time in the environment."""
    moment = datetime(2026, 11, 1, tzinfo=UTC)

    assert load(write_config("[consumer]\nstart = 2026-11-01T00:00:00Z"), {}).consumer.start == moment
    assert load(environ={"RELAY_CONSUMER__START": "2026-11-01T00:00:00Z"}).consumer.start == moment


def test_secret_may_stand_in_a_file():
    """A secret is read from a file, without its line break and nothing else."""
    Path("token").write_text(f" {CANARY}\n")

    token = load(environ={"RELAY_CONSOLE__TOKEN_FILE": "token"}).console.token

    assert token.get_secret_value() == f" {CANARY}"


def test_secret_of_the_environment_replaces_the_files():
    """A secret in the environment replaces a secret's file that the settings file names, and the other way round."""
    Path("token").write_text("of the file")
    by_file, plain = write_config('[console]\ntoken_file = "nowhere"\n'), Path("plain.toml")
    plain.write_text('[console]\ntoken = "plain"\n')

    assert load(by_file, {"RELAY_CONSOLE__TOKEN": "own"}).console.token.get_secret_value() == "own"
    assert (
        load(plain, {"RELAY_CONSOLE__TOKEN_FILE": "token"}).console.token.get_secret_value() == "of the file"
    )


@pytest.mark.parametrize("value", [CANARY, "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U="])
def test_secret_in_place_of_its_file_is_not_told(value):
    """Whoever gives a secret where its file belongs does not see it in the message."""
    for key in ("RELAY_CONSOLE__TOKEN_FILE", "RELAY_SECRETS__KEY_FILE", "RELAY_KAFKA__CA_FILE"):
        assert value not in load_error(environ={key: value})


def test_secret_of_a_wrong_type_is_not_told():
    """A secret that TOML reads as a number is refused without showing it."""
    message = load_error(write_config("[console]\ntoken = 31415926"))

    assert "console.token (settings.toml): must be a valid string" in message
    assert "31415926" not in message


def test_no_sentence_holds_a_password_of_a_url():
    """A URL with a password in it is refused without showing it."""
    for key in (
        "RELAY_SCHEMA_REGISTRY__URL",
        "RELAY_PRODUCER__GATEWAY_URL",
        "RELAY_EMBEDDED__MAVEN_REPOSITORY",
    ):
        assert CANARY not in load_error(environ={key: f"https://user:{CANARY}@host.example"})


def test_settings_show_no_secret():
    """Neither repr nor JSON of the settings shows a secret."""
    found = load(environ={"RELAY_CONSOLE__TOKEN": CANARY, "RELAY_SECRETS__KEYS": json.dumps([CANARY])})

    assert CANARY not in repr(found) + str(found) + found.model_dump_json()


SECRETS = [name for name, field in setting_fields(Settings).items() if is_secret(field)]


def test_secrets_are_known_as_such():
    """These and no others are secrets; a new one belongs into this list."""
    assert {".".join(name) for name in SECRETS} == {
        "kafka.sasl_password",
        "kafka.oauth_client_secret",
        "schema_registry.password",
        "console.token",
        "secrets.keys",
    }


@pytest.mark.parametrize("name", [name for name, field in setting_fields(Settings).items()], ids=".".join)
def test_every_setting_is_reachable_by_its_variable(name):
    """Each setting is settable by the variable that the page shows, with the example that it shows."""
    field = setting_fields(Settings)[name]
    example = field.examples[0]
    if name[-1].endswith("_file"):
        example = "example"
        Path("example").touch()
    destination, environ = destination_of(name)
    key = variable(generalize(name)).replace("<NAME>", destination)
    text = example if isinstance(example, str) else json.dumps(example)

    said = single_error(environ | {key: text})  # some need others beside them

    assert f"({key})" not in said
    assert "is no setting" not in said


def test_page_is_complete():
    """docs/settings.md is what the code says: `python -m management.settings_page > docs/settings.md`."""
    assert (Path(__file__).parents[2] / "docs" / "settings.md").read_text("utf-8") == render_page()


def test_page_names_every_setting():
    """Each setting has a row with a sentence, and each secret its file."""
    rows = render_page()
    for name, field in setting_fields(Settings).items():
        assert f"`{variable(name)}`" in rows
        assert field.description.endswith(".")
        assert field.examples
        assert not accepts_file(field) or f"`{name[-1]}_file`" in rows


@given(strategies.sampled_from(sorted(setting_fields(Settings))), strategies.text(min_size=1, max_size=60))
@settings(max_examples=300)
def test_any_text_gives_settings_or_a_sentence(name, text):
    """Whatever a variable holds: the settings, or a SettingsError; a secret's text is never in it."""
    destination, environ = destination_of(name)
    key = variable(name).replace("<NAME>", destination)
    canary = base64.b32encode(text.encode("utf-8", "replace")).decode().rstrip("=") + "canary"
    field = setting_fields(Settings)[name]
    value = canary if is_secret(field) else text

    said = single_error(environ | {key: value})

    assert "nothing at all" not in said
    assert not is_secret(field) or value not in said

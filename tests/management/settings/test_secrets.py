"""Secrets among the settings: their files, and where they may not appear."""

import json
from pathlib import Path

import pytest

from management.settings import Settings, load
from relay.config.names import is_list, is_secret, is_table, setting_fields, variable
from relay.credentials.redaction import secrets_in
from tests.support.settings import (
    CANARY,
    OAUTH,
    OIDC,
    REGISTRY,
    SENTINEL,
    destination_of,
    load_error,
    write_config,
)

PASSWORD, PASSWORD_FILE = "RELAY_SCHEMA_REGISTRY__PASSWORD", "RELAY_SCHEMA_REGISTRY__PASSWORD_FILE"
REGISTRY_TABLE = '[schema_registry]\nurl = "https://registry"\nusername = "relay"\n'
SECRETS = [name for name, field in setting_fields(Settings).items() if is_secret(field)]


def registry_password(config=None, **environ):
    return load(config, environ).schema_registry.password.get_secret_value()


def test_the_secret_settings_are_exactly_these():
    """A new secret setting must be added to this list."""
    assert {".".join(name) for name in SECRETS} == {
        "kafka.sasl_password",
        "kafka.oauth_client_secret",
        "schema_registry.password",
        "secrets.keys",
        "secret_stores.vault_token",
        "secret_stores.vault_secret_id",
        "proof.key",
        "console.token",
        "console.oidc_client_secret",
        "telemetry.traces_headers",
        "destinations.<name>.sasl_password",
        "destinations.<name>.oauth_client_secret",
        "destinations.<name>.hide_key",
        "destinations.<name>.api_key",
        "destinations.<name>.password",
        "destinations.<name>.headers",
        "destinations.<name>.history_url",
        "destinations.<name>.signing_secrets",
        "destinations.<name>.token",
        "destinations.<name>.url",
    }


def secret_of(name):
    """Return a secret of this setting, which is a URL where the setting is one."""
    secret = f"{CANARY}-{'.'.join(name)}"
    return f"https://host/{secret}" if name[-1].endswith("url") else secret


def written(name, fields):
    """Return the secret of this setting as its variable holds it: a list, a table or a text."""
    secret = secret_of(name)
    if is_list(fields[name]):
        return json.dumps([secret] * 2)
    return json.dumps({"X-Key": secret}) if is_table(fields[name]) else secret


def test_the_redactor_knows_every_secret_setting():
    """Every secret setting, a list or not, is among the secrets that are removed from the logs."""
    fields, environ = setting_fields(Settings), {}
    for name in SECRETS:
        destination, required = destination_of(name)
        place = tuple(part.replace("<name>", destination.lower()) for part in name)
        environ = (
            (required if name[0] == "destinations" else {})
            | environ
            | {variable(place): written(name, fields)}
        )
    others = REGISTRY | OIDC | {"RELAY_KAFKA__SECURITY_PROTOCOL": "SASL_SSL"}
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

    assert known == {secret_of(name) for name in SECRETS}


def test_a_secret_may_be_in_a_file():
    """A secret is read from its file without the last line break, and otherwise unchanged."""
    Path("password").write_text(f" {CANARY}\n")

    assert registry_password(**REGISTRY, **{PASSWORD_FILE: "password"}) == f" {CANARY}"


def test_a_secret_in_the_environment_overrides_the_settings_file():
    """A secret or its file in the environment overrides both forms in the settings file."""
    Path("password").write_text("from its file")
    by_file, plain = write_config(f'{REGISTRY_TABLE}password_file = "nowhere"\n'), Path("plain.toml")
    plain.write_text(f'{REGISTRY_TABLE}password = "plain"\n')

    assert registry_password(by_file, **{PASSWORD: "own"}) == "own"
    assert registry_password(plain, **{PASSWORD_FILE: "password"}) == "from its file"


@pytest.mark.parametrize("value", [CANARY, "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U="])
def test_a_secret_in_place_of_its_file_is_not_shown(value):
    """The error about a missing file does not repeat the given text, which may be the secret itself."""
    for key in (PASSWORD_FILE, "RELAY_SECRETS__KEY_FILE", "RELAY_KAFKA__CA_FILE"):
        assert value not in load_error(environ={key: value})


@pytest.mark.parametrize("setting", ["schema_registry.password_file", "secrets.key_file", "kafka.ca_file"])
def test_a_secret_in_place_of_a_path_is_not_shown_with_a_directory(setting, tmp_path):
    """A secret that the settings file has in place of a path is not shown, though such a path starts at the file's directory."""
    group, _, name = setting.partition(".")
    config = tmp_path / "settings.toml"
    config.write_text(f'[{group}]\n{name} = "{CANARY}"\n')

    assert CANARY not in load_error(config)


def test_a_secret_of_a_wrong_type_is_not_shown():
    """A secret that TOML reads as a number is refused, and the error does not show it."""
    message = load_error(write_config("[schema_registry]\npassword = 31415926"))

    assert "schema_registry.password (settings.toml): must be a valid string" in message
    assert "31415926" not in message


def test_a_password_in_a_url_is_not_shown():
    """A URL that holds a password is refused, and the error does not show the password."""
    for key in (
        "RELAY_SCHEMA_REGISTRY__URL",
        "RELAY_PRODUCER__GATEWAY_URL",
        "RELAY_EMBEDDED__MAVEN_REPOSITORY",
    ):
        assert CANARY not in load_error(environ={key: f"https://user:{CANARY}@host.example"})


def test_loaded_settings_show_no_secret():
    """Neither repr nor JSON of the settings holds a secret."""
    found = load(environ=REGISTRY | {PASSWORD: CANARY, "RELAY_SECRETS__KEYS": json.dumps([CANARY])})

    assert CANARY not in repr(found) + str(found) + found.model_dump_json()

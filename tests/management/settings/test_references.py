"""Settings that name secrets in stores."""

import asyncio

import pytest

from management.settings import load
from relay.credentials.redaction import secrets_in
from relay.credentials.stores.stored_secret import stored_secrets_in
from simulators.secret_stores.key_vault import KeyVaultSimulator
from tests.support.secret_stores import running
from tests.support.settings import CANARY, REGISTRY, load_error, write_config

PASSWORD = "RELAY_SCHEMA_REGISTRY__PASSWORD"
REFERENCE = "azure-key-vault:acme-kv/registry"
TABLE = '[schema_registry]\nurl = "https://registry"\nusername = "relay"\n'


@pytest.fixture
async def vault(monkeypatch):
    async with running(KeyVaultSimulator()) as service:
        for name, value in service.environment.items():
            monkeypatch.setenv(name, value)
        yield service


@pytest.fixture
def environ(vault):
    return REGISTRY | {
        "RELAY_SECRET_STORES__AZURE_ENDPOINT": vault.url,
        "RELAY_SECRET_STORES__AZURE_CREDENTIAL": "managed-identity",
    }


async def test_a_password_a_list_and_a_table_are_read_from_a_store(vault, environ):
    """Each form has its shape; two settings that name one secret cost one request."""
    vault.put("registry", f"{CANARY}\n")
    vault.put("header", f"Bearer {CANARY}")
    environ |= {
        f"{PASSWORD}_REF": REFERENCE,
        "RELAY_CONSOLE__TOKEN_REF": REFERENCE,
        "RELAY_DESTINATIONS__HOOK__KIND": "http",
        "RELAY_DESTINATIONS__HOOK__URL": "https://hook.example/",
        "RELAY_DESTINATIONS__HOOK__SIGNING_SECRETS_REF": f'["{REFERENCE}"]',
        "RELAY_DESTINATIONS__HOOK__HEADERS_REF": '{"Authorization": "azure-key-vault:acme-kv/header"}',
    }
    settings = await asyncio.to_thread(load, None, environ)

    hook = settings.destinations["hook"]
    assert settings.schema_registry.password.get_secret_value() == CANARY
    assert [each.get_secret_value() for each in hook.signing_secrets] == [CANARY]
    assert hook.headers["Authorization"].get_secret_value() == f"Bearer {CANARY}"
    assert vault.requests["/secrets/registry"] == 1
    assert set(secrets_in(settings)) == {CANARY, f"Bearer {CANARY}", "https://hook.example/"}
    assert CANARY not in repr(settings)
    assert len(list(stored_secrets_in(settings))) == 4


async def test_a_secret_that_cannot_be_read_ends_the_start_with_its_name(vault, environ):
    """Each fault is a line with setting, source, reference, cause and remedy."""
    vault.forbidden.add("token")
    environ |= {
        f"{PASSWORD}_REF": REFERENCE,
        "RELAY_CONSOLE__TOKEN_REF": "azure-key-vault:acme-kv/token",
    }
    lines = (await asyncio.to_thread(load_error, None, environ)).splitlines()

    token, password = sorted(lines)
    assert token == (
        "console.token_ref (RELAY_CONSOLE__TOKEN_REF): The secret azure-key-vault:acme-kv/token cannot be read: the identity may"
        " not read it. Give it the role Key Vault Secrets User on it or the vault acme-kv (403 Forbidden)."
    )
    assert password == (
        "schema_registry.password_ref (RELAY_SCHEMA_REGISTRY__PASSWORD_REF): The secret azure-key-vault:acme-kv/registry cannot be"
        " read: the vault acme-kv has none of this name and version, or it was deleted. Check the reference (404 SecretNotFound)."
    )


def test_a_reference_of_another_form_is_refused_and_not_shown():
    """It may be the secret itself; a reference that begins right is shown."""
    wrong = load_error(environ=REGISTRY | {f"{PASSWORD}_REF": CANARY})
    assert "must be a reference such as azure-key-vault:VAULT/SECRET" in wrong
    assert CANARY not in wrong
    half = load_error(environ=REGISTRY | {f"{PASSWORD}_REF": "azure-key-vault:acme-kv"})
    assert "'azure-key-vault:acme-kv' must have the form azure-key-vault:VAULT/SECRET" in half
    assert "must be a list of references" in load_error(write_config('[secrets]\nkeys_ref = "x"\n'))
    assert "must be a reference." in load_error(write_config(f"{TABLE}password_ref = 3\n"))


def test_two_forms_of_one_secret_are_refused():
    for other in ('password = "x"', 'password_file = "x"'):
        text = load_error(write_config(f'{TABLE}password_ref = "{REFERENCE}"\n{other}\n'))
        assert "are both set" in text
    keys = load_error(write_config(f'[secrets]\nkeys_ref = ["{REFERENCE}"]\nkey_file = "x"\n'))
    assert "secrets.key_file and secrets.keys_ref are both set" in keys


async def test_the_environment_replaces_each_form_in_the_file(vault, environ):
    """A variable with a reference wins over a password in the file, and a variable with a password over a reference."""
    vault.put("registry", "of-the-store")
    file = write_config(f'{TABLE}password = "of-the-file"\n')
    settings = await asyncio.to_thread(load, file, environ | {f"{PASSWORD}_REF": REFERENCE})
    assert settings.schema_registry.password.get_secret_value() == "of-the-store"

    file = write_config(f'{TABLE}password_ref = "{REFERENCE}"\n')
    plain = load(file, {PASSWORD: "of-the-variable"})
    assert plain.schema_registry.password.get_secret_value() == "of-the-variable"


def test_the_login_of_a_store_cannot_be_in_a_store():
    text = load_error(environ={"RELAY_SECRET_STORES__AZURE_CREDENTIAL_REF": REFERENCE})
    assert "is not a setting" in text


def test_a_fault_in_the_settings_of_stores_is_named_before_a_store_is_asked():
    text = load_error(
        environ=REGISTRY | {f"{PASSWORD}_REF": REFERENCE, "RELAY_SECRET_STORES__AZURE_CLOUD": "mars"}
    )
    assert text.startswith("secret_stores.azure_cloud = 'mars' (RELAY_SECRET_STORES__AZURE_CLOUD): must be")

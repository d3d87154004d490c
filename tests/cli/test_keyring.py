"""`jira-relay keyring`."""

import base64

import pytest

from management.completeness.signature import SigningKey
from management.settings import load
from relay.credentials.keyring import Keyring, load_keyring
from simulators.secret_stores.vault import VaultSimulator
from tests.support.secret_stores import running

BY = "vault-transit:transit/relay"
KEY = bytes(range(32))


@pytest.fixture
async def vault(command_line_without_kafka):
    async with running(VaultSimulator()) as service:
        command_line_without_kafka.set_environment(
            RELAY_SECRET_STORES__VAULT_ADDRESS=service.url, RELAY_SECRET_STORES__VAULT_TOKEN=service.root
        )
        yield service


@pytest.mark.usefixtures("vault")
async def test_a_new_key_is_wrapped_and_is_the_key_of_the_settings(command_line_without_kafka):
    """Standard output is the reference alone; the settings unwrap it at the start, and config check counts it."""
    made = await command_line_without_kafka("keyring", "wrap", BY)
    reference = made.out.strip()
    command_line_without_kafka.set_environment(
        RELAY_SECRETS__KEY_FILE="", RELAY_SECRETS__KEYS_REF=f'["{reference}"]'
    )
    checked = (await command_line_without_kafka("config", "check")).out

    assert reference.startswith(f"{BY}#vault:v1:")
    assert "ok  secrets: API keys can be encrypted" in checked
    assert "ok  references: 1 read from vault-transit" in checked
    assert "is wrapped. Put the line into secrets.keys_ref" in made.err


@pytest.mark.usefixtures("vault")
async def test_a_key_of_a_file_stays_the_same_key_and_is_wrapped_again(command_line_without_kafka, tmp_path):
    """An installation with a key file moves to a key service, and from one key of it to another."""
    file = tmp_path / "key"
    file.write_bytes(base64.b64encode(KEY) + b"\n")
    name = Keyring([KEY]).ids[0]
    first = (await command_line_without_kafka("keyring", "wrap", BY, "--key-file", file, "--json")).json
    second = (
        await command_line_without_kafka("keyring", "wrap", BY, "--key-ref", first["reference"], "--json")
    ).json

    assert first["id"] == second["id"] == name
    assert first["reference"] != second["reference"]


@pytest.mark.usefixtures("vault")
async def test_the_key_that_signs_days_is_wrapped(command_line_without_kafka, tmp_path):
    """The same key signs as before, so an auditor needs no other public key."""
    file = tmp_path / "proof.key"
    file.write_bytes(base64.b64encode(KEY) + b"\n")
    found = (await command_line_without_kafka("keyring", "wrap", BY, "--key-file", file, "--json")).json
    command_line_without_kafka.set_environment(RELAY_PROOF__KEY_REF=found["reference"])
    assert (await command_line_without_kafka("proof", "key")).out.strip() == SigningKey(KEY).name


@pytest.mark.usefixtures("vault")
@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("vault:secret/acme",), 2, "must be that of a key service: azure-key-vault-key:VAULT/KEY"),
        ((BY, "--key-file", "x", "--key-ref", "y"), 2, "keep one of them"),
        ((BY, "--key-file", "/nowhere/key"), 2, "/nowhere/key cannot be read"),
        (
            ("vault-transit:transit/other",),
            1,
            "cannot be wrapped by vault-transit:transit/other: the server refuses",
        ),
    ],
)
async def test_a_fault_is_named(command_line_without_kafka, arguments, code, text):
    assert text in (await command_line_without_kafka("keyring", "wrap", *arguments, code=code)).err


def test_a_wrapped_key_is_for_no_other_setting(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reference = f"{BY}#vault:v1:AAAAAAAAAAAAAAAAAAAAAAAA"
    with pytest.raises(Exception, match=r"vault-transit is for secrets.keys_ref and proof.key_ref alone"):
        load(None, {"RELAY_CONSOLE__TOKEN_REF": reference})
    assert load_keyring(load(None, {}).secrets) is None

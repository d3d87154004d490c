import base64
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from relay.credentials.keyring import CredentialOwner, Keyring
from relay.credentials.resolver import CredentialResolver, is_reference
from relay.credentials.stores.error import SecretStoreError
from relay.errors import SecretError
from tests.support.secret_stores import ACME as STORED
from tests.support.secret_stores import scripted_stores

CANARY = "ATATT3xFfGF0canary=5F1C9E00"
OLD, NEW = bytes(range(32)), bytes(range(32, 64))
ACME = CredentialOwner("acme", "https://acme.atlassian.net", "ada@acme.example")


def organization(reference=None, sealed=None, owner=ACME):
    return {
        "name": owner.name,
        "url": owner.url,
        "user": owner.user,
        "credential_reference": reference,
        "credential_ciphertext": sealed,
    }


def resolve_error(credentials, record):
    with pytest.raises(SecretError) as caught:
        credentials.resolve(record)
    assert CANARY not in str(caught.value)
    return str(caught.value)


def base64_of(key):
    return base64.b64encode(key).decode()


OWNERS = st.builds(CredentialOwner, st.text(max_size=8), st.text(max_size=8), st.text(max_size=8))


def test_sealed_key_is_resolved_and_passed_to_the_redactor():
    """A sealed key is found, and passed to the redactor, also as Basic authentication sends it, so that logs leave it
    out.
    """
    redacted = []
    ring = Keyring([OLD])
    credentials = CredentialResolver(ring, None, {}, redacted.append)

    key = credentials.resolve(organization(sealed=ring.seal(SecretStr(CANARY), ACME)))

    assert key.get_secret_value() == CANARY
    assert redacted == [CANARY, base64_of(f"{ACME.user}:{CANARY}".encode())]


def test_a_key_that_does_not_decrypt_is_reported():
    """No key, no keyring, and a ciphertext of another organization have a sentence each."""
    ring = Keyring([OLD])
    copied = organization(sealed=ring.seal(SecretStr(CANARY), CredentialOwner("other", ACME.url, ACME.user)))

    assert "has no API key" in resolve_error(CredentialResolver(ring, None, {}), organization())
    assert "secrets.key_file" in resolve_error(CredentialResolver(None, None, {}), copied)
    assert f"not encrypted for {ACME.url} and the user {ACME.user}" in resolve_error(
        CredentialResolver(ring, None, {}), copied
    )


@given(OWNERS, OWNERS, st.sampled_from(["env:RELAY_KEY_ACME", "file:acme"]))
def test_reference_is_followed_for_its_owner_alone(owner, other, reference):
    """With a keyring, a reference is used for the name, URL and user that it was sealed for, and for no others."""
    ring = Keyring([OLD])
    credentials = CredentialResolver(ring, None, {"RELAY_KEY_ACME": CANARY})
    sealed = ring.seal_reference("env:RELAY_KEY_ACME", owner)

    if (owner, reference) == (other, "env:RELAY_KEY_ACME"):
        assert credentials.resolve(organization(reference, sealed, other)).get_secret_value() == CANARY
    else:
        assert f"key reference {reference} of " in resolve_error(
            credentials, organization(reference, sealed, other)
        )


def test_an_unsealed_reference_is_used_only_without_keys():
    """A writer of the topic without a key of the relay cannot have a secret sent to a place of their choice."""
    record = organization(
        "env:RELAY_KEY_ACME", owner=CredentialOwner("acme", "https://evil.atlassian.net", "eve")
    )
    environ = {"RELAY_KEY_ACME": CANARY}

    sentence = resolve_error(CredentialResolver(Keyring([OLD]), None, environ), record)
    assert "https://evil.atlassian.net and the user eve, so it is not used" in sentence
    assert "--api-key-ref env:RELAY_KEY_ACME" in sentence
    assert CredentialResolver(None, None, environ).resolve(record).get_secret_value() == CANARY


def test_a_sealed_key_is_not_a_sealed_reference():
    """A sealed key does not decrypt as a reference, nor a sealed reference as a key."""
    ring = Keyring([OLD])
    credentials = CredentialResolver(ring, None, {"RELAY_KEY_ACME": CANARY})
    as_key = ring.seal(SecretStr("env:RELAY_KEY_ACME"), ACME)
    as_reference = ring.seal_reference("env:RELAY_KEY_ACME", ACME)

    assert "key reference env:RELAY_KEY_ACME of acme was not sealed" in resolve_error(
        credentials, organization("env:RELAY_KEY_ACME", as_key)
    )
    assert "was not encrypted for" in resolve_error(credentials, organization(sealed=as_reference))


def test_a_reference_sealed_with_a_removed_key_has_the_command_to_set_it_again():
    """The error names the removed key, and the command's option for references."""
    sealed = Keyring([OLD]).seal_reference("file:acme", ACME)

    sentence = resolve_error(CredentialResolver(Keyring([NEW]), None, {}), organization("file:acme", sealed))
    assert "not in secrets.keys" in sentence
    assert "--api-key-ref file:acme" in sentence


def test_variable_is_read_at_each_call():
    """A variable is read anew at each call, and stripped."""
    environ = {"RELAY_KEY_ACME": f" {CANARY}\n"}
    credentials = CredentialResolver(None, None, environ)
    record = organization("env:RELAY_KEY_ACME")

    assert credentials.resolve(record).get_secret_value() == CANARY
    environ["RELAY_KEY_ACME"] = "rotated"
    assert credentials.resolve(record).get_secret_value() == "rotated"
    del environ["RELAY_KEY_ACME"]
    assert "RELAY_KEY_ACME" in resolve_error(credentials, record)


def test_file_is_read_at_each_call(tmp_path):
    """A file is read anew at each call, through the links that Kubernetes makes inside the directory."""
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "acme").write_bytes(b"\xef\xbb\xbf" + CANARY.encode() + b"\r\n")
    (tmp_path / "acme").symlink_to(Path("..data") / "acme")
    credentials = CredentialResolver(None, tmp_path, {})
    record = organization("file:acme")

    assert credentials.resolve(record).get_secret_value() == CANARY
    (tmp_path / "..data" / "acme").write_text("rotated")
    assert credentials.resolve(record).get_secret_value() == "rotated"


@pytest.mark.parametrize(
    "reference",
    [
        "env:PATH",
        "env:RELAY_SECRETS__KEYS",
        "env:RELAY_KEY_",
        "env:RELAY_KEY_acme",
        "file:",
        "file:/etc/passwd",
        "file:../outside",
        "file:team/../../outside",
        "file:./inside",
        "file:..",
        "file:inside\0",
        "file:inside\n",
        "file:" + "x" * 300,
        "vault:secret",
        "",
        "env",
    ],
)
def test_a_reference_to_another_place_is_rejected(tmp_path, reference):
    """A reference names a variable that begins with RELAY_KEY_ or a path inside the directory, and nothing else."""
    directory = tmp_path / "secrets"
    directory.mkdir()
    (tmp_path / "outside").write_text(CANARY)
    (directory / "inside").write_text(CANARY)
    environ = {"PATH": CANARY, "RELAY_SECRETS__KEYS": CANARY, "RELAY_KEY_": CANARY, "RELAY_KEY_acme": CANARY}

    assert "must be env:RELAY_KEY_" in resolve_error(
        CredentialResolver(None, directory, environ), organization(reference)
    )


def test_a_file_without_a_key_is_rejected(tmp_path):
    """A file that is outside, missing, too large, empty, of several lines, or not text is rejected with the reason."""
    directory = tmp_path / "secrets"
    directory.mkdir()
    (tmp_path / "outside").write_text(CANARY)
    (directory / "link").symlink_to(tmp_path / "outside")
    (directory / "circle").symlink_to(directory / "circle")
    (directory / "folder").mkdir()
    os.mkfifo(directory / "pipe")
    (directory / "large").write_text("x" * 20_000)
    (directory / "empty").write_text("\n")
    (directory / "lines").write_text(f"user\n{CANARY}\n")
    (directory / "binary").write_bytes(b"\xff\x00")
    expected = {
        "missing": "No such file",
        "link": "a link to a place outside",
        "circle": "circle",
        "folder": "is not a regular file",
        "pipe": "is not a regular file",
        "large": "larger than",
        "empty": "is empty",
        "lines": "on one line",
        "binary": "is not UTF-8 text",
    }

    for name, why in expected.items():
        assert why in resolve_error(CredentialResolver(None, directory, {}), organization(f"file:{name}"))


def test_a_missing_directory_is_reported():
    """A reference to a file without secrets.directory, or with a missing one, is reported in a sentence."""
    record = organization("file:acme")

    assert "RELAY_SECRETS__DIRECTORY" in resolve_error(CredentialResolver(None, None, {}), record)
    assert "No such file" in resolve_error(CredentialResolver(None, Path("/nowhere"), {}), record)


@given(st.text(max_size=30) | st.text("abc./\\-_~", max_size=12))
def test_no_file_reference_leaves_the_directory(tmp_path_factory, name):
    """Any reference leads to a key inside the directory, or to a SecretError."""
    root = tmp_path_factory.getbasetemp() / "confined"
    (root / "a" / "b").mkdir(parents=True, exist_ok=True)
    (root / "c").write_text("outside")
    (root / "a" / "c").write_text("inside")

    try:
        key = CredentialResolver(None, root / "a", {}).resolve(organization(f"file:{name}"))
    except SecretError:
        return
    assert key.get_secret_value() == "inside"


async def test_a_key_in_a_store_is_resolved_for_a_sealed_reference_alone():
    """Without keys nobody can tell who wrote a reference, and it might name any secret of the store: it is refused."""
    ring, redacted = Keyring([OLD]), []
    stores, script, _ = scripted_stores(CANARY)
    record = organization(STORED, ring.seal_reference(STORED, ACME))
    credentials = CredentialResolver(ring, None, {}, redacted.append, stores)
    await credentials.prepare(record)

    assert credentials.resolve(record).get_secret_value() == CANARY
    assert redacted[0] == CANARY
    for keyring, sealed in [(None, None), (ring, None), (ring, ring.seal_reference("file:acme", ACME))]:
        refusing = CredentialResolver(keyring, None, {}, stores=stores)
        with pytest.raises(SecretError):
            await refusing.prepare(organization(STORED, sealed))
        resolve_error(refusing, organization(STORED, sealed))
        assert not await refusing.reread(organization(STORED, sealed))
    assert script.reads == [STORED]


async def test_a_key_of_a_store_that_fails_names_organization_reference_and_remedy():
    ring = Keyring([OLD])
    stores, _, _ = scripted_stores(SecretStoreError("the identity may not read it. Give it the role."))
    record = organization(STORED, ring.seal_reference(STORED, ACME))
    credentials = CredentialResolver(ring, None, {}, stores=stores)
    with pytest.raises(SecretError) as caught:
        await credentials.prepare(record)

    assert str(caught.value) == (
        "The API key of acme is not available. The secret azure-key-vault:acme-kv/jira cannot be read: the identity may not read"
        " it. Give it the role."
    )
    assert resolve_error(credentials, record) == str(caught.value)
    assert "does not use" in resolve_error(CredentialResolver(ring, None, {}), record)


async def test_a_refused_key_is_asked_for_once_more_and_other_kinds_are_not():
    """Only a store can have another key than the one that was read at this request."""
    ring = Keyring([OLD])
    stores, script, clock = scripted_stores("old", "new")
    record = organization(STORED, ring.seal_reference(STORED, ACME))
    credentials = CredentialResolver(ring, None, {}, stores=stores)
    await credentials.prepare(record)
    clock.seconds += 6

    assert await credentials.reread(record)
    assert credentials.resolve(record).get_secret_value() == "new"
    assert not await credentials.reread(organization("file:acme"))
    assert not await credentials.reread(organization(sealed=ring.seal(SecretStr("x"), ACME)))
    assert len(script.reads) == 2


@pytest.mark.parametrize(
    "reference", ["azure-key-vault:acme-kv", "azure-key-vault:a/../b", "azure-key-vault:"]
)
def test_a_reference_to_a_store_has_its_form(reference):
    assert not is_reference(reference)
    assert "azure-key-vault:VAULT/SECRET" in resolve_error(
        CredentialResolver(None, None, {}), organization(reference)
    )

import base64
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from relay.config.secrets import SecretsConfig
from relay.credentials.keyring import CredentialOwner, Keyring, load_keyring, make_key_file, require_keyring
from relay.credentials.resolver import CredentialResolver
from relay.errors import SecretError, SettingsError

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


@given(OWNERS, OWNERS, st.text(max_size=300))
def test_ciphertext_opens_for_its_owner_alone(owner, other, text):
    """What was sealed opens for the same name, URL and user, and for no others, however they are cut."""
    ring = Keyring([OLD])
    sealed = ring.seal(SecretStr(text), owner)

    assert ring.open(sealed, owner).get_secret_value() == text
    if other != owner:
        with pytest.raises(SecretError):
            ring.open(sealed, other)


@given(st.text(max_size=20), st.integers(0, 10), st.integers(0, 10))
def test_border_between_name_url_and_user_counts(text, first, second):
    """The same characters, cut elsewhere into name, URL and user, are another owner."""
    first, second = sorted((min(first, len(text)), min(second, len(text))))
    owner = CredentialOwner(text[:first], text[first:second], text[second:])
    sealed = Keyring([OLD]).seal(SecretStr(CANARY), owner)

    other = CredentialOwner(owner.name + owner.url, "", owner.user)
    if other != owner:
        with pytest.raises(SecretError):
            Keyring([OLD]).open(sealed, other)


@given(st.data())
def test_any_change_of_a_ciphertext_is_found(data):
    """A ciphertext with a byte changed, or cut, or of any bytes, does not open and does not crash."""
    sealed = Keyring([OLD]).seal(SecretStr(CANARY), ACME)
    position = data.draw(st.integers(0, len(sealed) - 1))
    changed = bytearray(sealed)
    changed[position] ^= data.draw(st.integers(1, 255))

    for wrong in (bytes(changed), sealed[:position], data.draw(st.binary(max_size=80))):
        with pytest.raises(SecretError):
            Keyring([OLD]).open(wrong, ACME)


def test_same_key_is_sealed_differently_each_time():
    """Two organizations with the same key cannot be told by their ciphertexts."""
    ring = Keyring([OLD])

    assert ring.seal(SecretStr(CANARY), ACME) != ring.seal(SecretStr(CANARY), ACME)


def test_keys_are_rotated_by_a_list():
    """The first key of the list encrypts, all decrypt, and a key taken out is named."""
    before = Keyring([OLD]).seal(SecretStr(CANARY), ACME)
    both = Keyring([NEW, OLD])
    after = both.seal(SecretStr(CANARY), ACME)

    assert both.open(before, ACME) == both.open(after, ACME) == Keyring([NEW]).open(after, ACME)
    with pytest.raises(SecretError, match=r"not in secrets\.keys"):
        Keyring([NEW]).open(before, ACME)


def test_keyring_is_read_from_settings_or_a_file(tmp_path):
    """Keys come from secrets.keys, or one a line from secrets.key_file, in their order."""
    file = tmp_path / "keys"
    file.write_text(f"{base64_of(NEW)}\n\n{base64_of(OLD)}\n")
    sealed = Keyring([OLD]).seal(SecretStr(CANARY), ACME)

    by_list = load_keyring(SecretsConfig(keys=(SecretStr(base64_of(NEW)), SecretStr(base64_of(OLD)))))
    by_file = load_keyring(SecretsConfig(key_file=file))

    for ring in (by_list, by_file):
        assert ring.open(sealed, ACME).get_secret_value() == CANARY
        assert Keyring([NEW]).open(ring.seal(SecretStr(CANARY), ACME), ACME).get_secret_value() == CANARY


def test_wrong_keys_are_refused_without_showing_them(tmp_path):
    """A key that is not base64 of 32 bytes is refused with its number and how to make one."""
    empty, binary = tmp_path / "empty", tmp_path / "binary"
    empty.touch()
    binary.write_bytes(b"\xff" * 32)
    short = base64_of(bytes(31))
    wrong = [
        SecretsConfig(keys=(SecretStr(base64_of(OLD)), SecretStr(short))),
        SecretsConfig(keys=(SecretStr("canary"),)),
        SecretsConfig(key_file=empty),
        SecretsConfig(key_file=binary),
    ]
    for given_keys in wrong:
        with pytest.raises(SettingsError, match="openssl rand -base64 32") as caught:
            load_keyring(given_keys)
        assert short not in str(caught.value)
        assert "canary" not in str(caught.value)


def test_missing_keys_are_an_error_that_says_how_to_make_one():
    """Where a key is needed and none is set, the sentence has the command."""
    assert load_keyring(SecretsConfig()) is None
    with pytest.raises(SettingsError, match="openssl rand -base64 32 >"):
        require_keyring(SecretsConfig())


def test_key_file_is_made_once_for_its_owner_alone(tmp_path):
    """The made key file has mode 0600, can be used, is not made anew, and leaves nothing beside it."""
    path = make_key_file(tmp_path)
    content = path.read_bytes()

    assert make_key_file(tmp_path) == path
    assert path.read_bytes() == content
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_keyring(SecretsConfig(key_file=path)) is not None
    assert list(tmp_path.iterdir()) == [path]


def test_key_file_that_cannot_be_made_is_reported(tmp_path):
    """A directory that is not there gives a sentence."""
    with pytest.raises(SettingsError, match="cannot be made: No such file"):
        make_key_file(tmp_path / "nowhere")


def test_sealed_key_is_resolved_and_given_to_the_redactor():
    """A sealed key is found, and given to the redactor (also as Basic authentication sends it) so that logs can leave it out."""
    redacted = []
    ring = Keyring([OLD])
    credentials = CredentialResolver(ring, None, {}, redacted.append)

    key = credentials.resolve(organization(sealed=ring.seal(SecretStr(CANARY), ACME)))

    assert key.get_secret_value() == CANARY
    assert redacted == [CANARY, base64_of(f"{ACME.user}:{CANARY}".encode())]


def test_sealed_key_that_cannot_be_opened_is_reported():
    """No key, no keyring, and a ciphertext copied from another organization are three sentences."""
    ring = Keyring([OLD])
    copied = organization(sealed=ring.seal(SecretStr(CANARY), CredentialOwner("other", ACME.url, ACME.user)))

    assert "has no API key" in resolve_error(CredentialResolver(ring, None, {}), organization())
    assert "secrets.key_file" in resolve_error(CredentialResolver(None, None, {}), copied)
    assert f"not given for {ACME.url} and the user {ACME.user}" in resolve_error(
        CredentialResolver(ring, None, {}), copied
    )


@given(OWNERS, OWNERS, st.sampled_from(["env:RELAY_KEY_ACME", "file:acme"]))
def test_reference_is_followed_for_its_owner_alone(owner, other, reference):
    """Where there are keys, a reference is followed for the name, URL and user it was sealed for, and for no others."""
    ring = Keyring([OLD])
    credentials = CredentialResolver(ring, None, {"RELAY_KEY_ACME": CANARY})
    sealed = ring.seal_reference("env:RELAY_KEY_ACME", owner)

    if (owner, reference) == (other, "env:RELAY_KEY_ACME"):
        assert credentials.resolve(organization(reference, sealed, other)).get_secret_value() == CANARY
    else:
        assert f"gave {reference} to " in resolve_error(credentials, organization(reference, sealed, other))


def test_reference_that_nobody_sealed_is_followed_only_without_keys():
    """Whoever can write the topic and has no key of the relay cannot have a secret sent to a place of their choice."""
    record = organization(
        "env:RELAY_KEY_ACME", owner=CredentialOwner("acme", "https://evil.atlassian.net", "eve")
    )
    environ = {"RELAY_KEY_ACME": CANARY}

    sentence = resolve_error(CredentialResolver(Keyring([OLD]), None, environ), record)
    assert "https://evil.atlassian.net and the user eve, so no key is sent there" in sentence
    assert "--api-key-ref env:RELAY_KEY_ACME" in sentence
    assert CredentialResolver(None, None, environ).resolve(record).get_secret_value() == CANARY


def test_a_sealed_key_is_no_sealed_reference():
    """What was sealed as one does not open as the other, though everything else is the same."""
    ring = Keyring([OLD])
    credentials = CredentialResolver(ring, None, {"RELAY_KEY_ACME": CANARY})
    as_key = ring.seal(SecretStr("env:RELAY_KEY_ACME"), ACME)
    as_reference = ring.seal_reference("env:RELAY_KEY_ACME", ACME)

    assert "gave env:RELAY_KEY_ACME to" in resolve_error(
        credentials, organization("env:RELAY_KEY_ACME", as_key)
    )
    assert "was not given for" in resolve_error(credentials, organization(sealed=as_reference))


def test_reference_sealed_with_a_key_that_is_gone_says_how_to_give_it_again():
    """A reference whose key was taken out too early names that key, and the option for references."""
    sealed = Keyring([OLD]).seal_reference("file:acme", ACME)

    sentence = resolve_error(CredentialResolver(Keyring([NEW]), None, {}), organization("file:acme", sealed))
    assert "not in secrets.keys" in sentence
    assert "--api-key-ref file:acme" in sentence


def test_variable_is_read_at_each_call():
    """A reference to a variable is read anew each time, and stripped."""
    environ = {"RELAY_KEY_ACME": f" {CANARY}\n"}
    credentials = CredentialResolver(None, None, environ)
    record = organization("env:RELAY_KEY_ACME")

    assert credentials.resolve(record).get_secret_value() == CANARY
    environ["RELAY_KEY_ACME"] = "rotated"
    assert credentials.resolve(record).get_secret_value() == "rotated"
    del environ["RELAY_KEY_ACME"]
    assert "RELAY_KEY_ACME" in resolve_error(credentials, record)


def test_file_is_read_at_each_call(tmp_path):
    """A reference to a file is read anew each time, through the links that Kubernetes makes inside the directory."""
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
def test_reference_that_leads_elsewhere_is_refused(tmp_path, reference):
    """Only variables that begin with RELAY_KEY_ and names inside the directory can be pointed at."""
    directory = tmp_path / "secrets"
    directory.mkdir()
    (tmp_path / "outside").write_text(CANARY)
    (directory / "inside").write_text(CANARY)
    environ = {"PATH": CANARY, "RELAY_SECRETS__KEYS": CANARY, "RELAY_KEY_": CANARY, "RELAY_KEY_acme": CANARY}

    assert "must be env:RELAY_KEY_" in resolve_error(
        CredentialResolver(None, directory, environ), organization(reference)
    )


def test_file_that_is_no_key_is_refused(tmp_path):
    """What is outside, no file, too large, empty, more than a line, or no text, is refused with its reason."""
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
        "link": "leads out of it",
        "circle": "circle",
        "folder": "is not a file",
        "pipe": "is not a file",
        "large": "larger than",
        "empty": "is empty",
        "lines": "on one line",
        "binary": "is not text",
    }

    for name, why in expected.items():
        assert why in resolve_error(CredentialResolver(None, directory, {}), organization(f"file:{name}"))


def test_directory_that_is_not_set_is_reported():
    """A reference to a file without a directory, or with one that is gone, gives a sentence."""
    record = organization("file:acme")

    assert "RELAY_SECRETS__DIRECTORY" in resolve_error(CredentialResolver(None, None, {}), record)
    assert "No such file" in resolve_error(CredentialResolver(None, Path("/nowhere"), {}), record)


@given(st.text(max_size=30) | st.text("abc./\\-_~", max_size=12))
def test_no_file_reference_leaves_the_directory(tmp_path_factory, name):
    """Whatever a reference says: a key from inside the directory, or a SecretError."""
    root = tmp_path_factory.getbasetemp() / "confined"
    (root / "a" / "b").mkdir(parents=True, exist_ok=True)
    (root / "c").write_text("outside")
    (root / "a" / "c").write_text("inside")

    try:
        key = CredentialResolver(None, root / "a", {}).resolve(organization(f"file:{name}"))
    except SecretError:
        return
    assert key.get_secret_value() == "inside"

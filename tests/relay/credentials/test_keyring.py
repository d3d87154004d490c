import base64
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from structlog.testing import capture_logs

from relay.config.secrets import SecretsConfig
from relay.credentials.encryption_keys import make_encryption_key_file
from relay.credentials.keyring import CredentialOwner, Keyring, load_keyring, require_keyring
from relay.errors import SecretError, SettingsError

CANARY = "ATATT3xFfGF0canary=5F1C9E00"
OLD, NEW = bytes(range(32)), bytes(range(32, 64))
ACME = CredentialOwner("acme", "https://acme.atlassian.net", "ada@acme.example")
OWNERS = st.builds(CredentialOwner, st.text(max_size=8), st.text(max_size=8), st.text(max_size=8))


def base64_of(key):
    return base64.b64encode(key).decode()


@given(OWNERS, OWNERS, st.text(max_size=300))
def test_ciphertext_opens_for_its_owner_alone(owner, other, text):
    """A ciphertext decrypts for the same name, URL and user, and for no others."""
    ring = Keyring([OLD])
    sealed = ring.seal(SecretStr(text), owner)

    assert ring.open(sealed, owner).get_secret_value() == text
    if other != owner:
        with pytest.raises(SecretError):
            ring.open(sealed, other)


@given(st.text(max_size=20), st.integers(0, 10), st.integers(0, 10))
def test_border_between_name_url_and_user_counts(text, first, second):
    """The same characters, split elsewhere into name, URL and user, are another owner."""
    first, second = sorted((min(first, len(text)), min(second, len(text))))
    owner = CredentialOwner(text[:first], text[first:second], text[second:])
    sealed = Keyring([OLD]).seal(SecretStr(CANARY), owner)

    other = CredentialOwner(owner.name + owner.url, "", owner.user)
    if other != owner:
        with pytest.raises(SecretError):
            Keyring([OLD]).open(sealed, other)


@given(st.data())
def test_any_change_of_a_ciphertext_is_found(data):
    """A ciphertext with a changed byte, a cut one, and random bytes do not decrypt and do not crash."""
    sealed = Keyring([OLD]).seal(SecretStr(CANARY), ACME)
    position = data.draw(st.integers(0, len(sealed) - 1))
    changed = bytearray(sealed)
    changed[position] ^= data.draw(st.integers(1, 255))

    for wrong in (bytes(changed), sealed[:position], data.draw(st.binary(max_size=80))):
        with pytest.raises(SecretError):
            Keyring([OLD]).open(wrong, ACME)


def test_same_key_is_sealed_differently_each_time():
    """The ciphertexts of two organizations do not show that their keys are equal."""
    ring = Keyring([OLD])

    assert ring.seal(SecretStr(CANARY), ACME) != ring.seal(SecretStr(CANARY), ACME)


def test_keys_are_rotated_by_a_list():
    """The first key of the list encrypts, all decrypt, and an error names a key that was removed."""
    before = Keyring([OLD]).seal(SecretStr(CANARY), ACME)
    both = Keyring([NEW, OLD])
    after = both.seal(SecretStr(CANARY), ACME)

    assert both.open(before, ACME) == both.open(after, ACME) == Keyring([NEW]).open(after, ACME)
    with pytest.raises(SecretError, match=r"not in secrets\.keys"):
        Keyring([NEW]).open(before, ACME)


def test_keyring_is_read_from_settings_or_a_file(tmp_path):
    """Keys come from secrets.keys, or from secrets.key_file, one a line, in their order."""
    file = tmp_path / "keys"
    file.write_text(f"{base64_of(NEW)}\n\n{base64_of(OLD)}\n")
    sealed = Keyring([OLD]).seal(SecretStr(CANARY), ACME)

    by_list = load_keyring(SecretsConfig(keys=(SecretStr(base64_of(NEW)), SecretStr(base64_of(OLD)))))
    by_file = load_keyring(SecretsConfig(key_file=file))

    for ring in (by_list, by_file):
        assert ring.open(sealed, ACME).get_secret_value() == CANARY
        assert Keyring([NEW]).open(ring.seal(SecretStr(CANARY), ACME), ACME).get_secret_value() == CANARY


def test_wrong_keys_are_rejected_without_showing_them(tmp_path):
    """A key that is not base64 of 32 bytes is rejected with its number and the command that creates one."""
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


def test_the_error_of_a_missing_key_has_the_command():
    """If a key is required and none is set, the error has the command that creates one."""
    assert load_keyring(SecretsConfig()) is None
    with pytest.raises(SettingsError, match="openssl rand -base64 32 >"):
        require_keyring(SecretsConfig())


def test_encryption_key_file_is_created_once_for_its_owner_alone(tmp_path):
    """The created key file has mode 0600, is valid, is not replaced, and leaves no other file."""
    path = make_encryption_key_file(tmp_path)
    content = path.read_bytes()

    assert make_encryption_key_file(tmp_path) == path
    assert path.read_bytes() == content
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_keyring(SecretsConfig(key_file=path)) is not None
    assert list(tmp_path.iterdir()) == [path]


def test_an_encryption_key_file_in_a_missing_directory_is_an_error(tmp_path):
    """A missing directory is reported in a sentence."""
    with pytest.raises(SettingsError, match="cannot be created: No such file"):
        make_encryption_key_file(tmp_path / "nowhere")


def test_a_keyring_follows_its_file(tmp_path):
    """The first key of now seals. A key that was taken out still opens here; a half-written file changes nothing, and is named."""
    file = tmp_path / "keys"
    file.write_text(base64_of(OLD))
    ring = load_keyring(SecretsConfig(key_file=file))
    sealed = ring.seal(SecretStr(CANARY), ACME)
    with capture_logs() as lines:
        for text in (base64_of(NEW)[:20], ""):
            file.write_text(text)
            assert ring.ids == ring.ids == Keyring([OLD]).ids
        file.unlink()
        assert ring.open(sealed, ACME).get_secret_value() == CANARY
        file.write_text(base64_of(OLD))
        assert ring.ids == Keyring([OLD]).ids
        file.rename(tmp_path / "away")
        assert ring.ids == Keyring([OLD]).ids
        (tmp_path / "away").rename(file)
        assert ring.ids == Keyring([OLD]).ids
        file.unlink()
        assert ring.ids == Keyring([OLD]).ids
        file.write_text(base64_of(NEW))
        assert ring.ids == Keyring([NEW]).ids
    levels = [each["log_level"] for each in lines]
    moved_away_and_back = ["warning", "info"]
    replaced = ["info", "info"]  # the end of the fault, and the keys
    assert levels == ["warning"] * 3 + replaced + moved_away_and_back + ["warning"] + replaced
    assert Keyring([NEW]).open(ring.seal(SecretStr("other"), ACME), ACME).get_secret_value() == "other"
    assert ring.open(sealed, ACME).get_secret_value() == CANARY
    assert not any(text in str(lines) for text in (base64_of(OLD), base64_of(NEW), base64_of(NEW)[:20]))


def test_a_keyring_reads_a_file_once_it_gets_the_rights(tmp_path, monkeypatch):
    """A file of another user takes the place of the old one. To give the right changes nothing that a stamp shows."""
    file = tmp_path / "keys"
    file.write_text(base64_of(OLD))
    ring = load_keyring(SecretsConfig(key_file=file))
    with monkeypatch.context() as denied:
        denied.setattr(Path, "read_text", _refuse)
        file.write_bytes(base64_of(NEW).encode() + b"\n")
        with capture_logs() as lines:
            assert ring.ids == ring.ids == Keyring([OLD]).ids
    assert [each["log_level"] for each in lines] == ["warning"]
    assert ring.ids == Keyring([NEW]).ids


def _refuse(*_args):
    raise PermissionError(13, "Permission denied")

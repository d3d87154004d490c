"""The signing key of day seals when its file changes while the watch runs."""

import base64

import pytest
from structlog.testing import capture_logs

from management.completeness.current_key import current_key
from management.completeness.signature import SigningKey
from relay.config.file_secret import FileSecret
from relay.errors import SettingsError

OLD, NEW = (base64.b64encode(bytes([each]) * 32).decode() for each in (1, 2))


def test_days_are_signed_with_the_key_of_now_and_earlier_seals_stay_verifiable(tmp_path):
    """Each seal names its key. A text that is no key leaves the old one, and is named once and never shown."""
    file = tmp_path / "proof.key"
    file.write_text(OLD)
    key = current_key(FileSecret("proof.key_file", file, OLD))
    names = [SigningKey.from_text(each).name for each in (OLD, NEW)]
    before = key.sign({"day": "2026-11-01"})
    with capture_logs() as lines:
        for text in ("", "no key", "no key", OLD):
            file.write_text(text)
            assert key.name == names[0]
        file.write_text(NEW)
        after = key.sign({"day": "2026-11-02"})
    assert [before.is_signed_by(each) for each in names] == [True, False]
    assert [after.is_signed_by(each) for each in names] == [False, True]
    assert names[1].encode() in after.text
    assert sum("with another key" in each["event"] for each in lines) == 1
    assert sum("cannot be used; the old one signs" in each["event"] for each in lines) == 1
    assert not any(text in str(lines) for text in (OLD, NEW, "no key'"))


def test_a_watch_does_not_begin_without_a_key(tmp_path):
    """The setting is wrong from the start: the operator sees it at the terminal."""
    with pytest.raises(SettingsError):
        current_key(FileSecret("proof.key_file", tmp_path / "gone", "no key"))

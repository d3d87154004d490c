"""The token of a console whose file changes while the console runs."""

from structlog.testing import capture_logs

from cli.console_token import find_token
from management.settings import load

OLD, NEW = "the-first-token-of-all", "the-second-token-of-all"


def test_a_new_token_counts_at_once_and_ends_the_sessions_of_the_old_one(tmp_path):
    """A file that is empty for a moment, or holds a token that is too short, leaves the old one; the log shows none of them."""
    file = tmp_path / "token"
    file.write_text(OLD)
    access = find_token(
        load(environ={"RELAY_CONSOLE__TOKEN_FILE": str(file)}), None, on_terminal=False
    ).access()
    cookie = access.sign_in("Anna", 0)
    with capture_logs() as lines:
        for text in ("", "short"):
            file.write_text(text)
            assert access.accepts(OLD)
            assert not access.accepts(text)
            assert access.session(cookie, 1).who == "Anna"
        file.write_text(OLD)
        assert access.session(cookie, 1).who == "Anna"
        assert not any("another token" in each["event"] for each in lines)
        file.write_text(NEW)
        assert not access.accepts(OLD)
        assert access.accepts(NEW)
    assert access.session(cookie, 1) is None
    assert access.session(access.sign_in("Anna", 0), 1).who == "Anna"
    assert any("too short" in each["event"] for each in lines)
    assert not any(token in str(lines) for token in (OLD, NEW))

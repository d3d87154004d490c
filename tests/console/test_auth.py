"""The login, apart from HTTP."""

import pytest

from console.auth import LINK_MS, SESSION_MS, Access, LoginThrottle, Notice, clean_name
from tests.support.views import NOW

TOKEN = "one-token-of-a-console"


def test_a_session_ends_after_twelve_hours():
    """The session holds until its end, and names the person."""
    access = Access(TOKEN)
    cookie = access.sign_in("Anna", NOW)

    assert access.session(cookie, NOW + SESSION_MS - 1).who == "Anna"
    assert access.session(cookie, NOW + SESSION_MS) is None


def test_consoles_with_one_token_share_sessions_and_a_new_token_ends_them():
    """No console keeps a session: its signature is enough."""
    cookie = Access(TOKEN).sign_in("Anna", NOW)

    assert Access(TOKEN).session(cookie, NOW).who == "Anna"
    assert Access(TOKEN + "-new").session(cookie, NOW) is None


def test_a_forged_cookie_is_no_session():
    """A changed value, a value for another purpose, and no value are no session."""
    access = Access(TOKEN)
    cookie = access.sign_in("Anna", NOW)

    for forged in (None, "", "x", cookie[:-1], "A" + cookie, access.sign_notice(Notice(("who",)))):
        assert access.session(forged, NOW) is None
    assert access.notice(cookie) is None


@pytest.mark.parametrize("character", ["a", "é", "漢", "😀"])
@pytest.mark.parametrize("failed", [False, True])
def test_a_notice_fits_into_a_cookie_and_keeps_every_sentence(character, failed):
    """Browsers drop a cookie above 4,096 bytes, and with it what the step before has done."""
    access = Access(TOKEN)
    cookie = access.sign_notice(
        Notice(("Short.", *[character * 5_000] * 5, "The connection was not tested."), failed)
    )
    assert len(cookie) < 4_000
    found = access.notice(cookie)
    assert (found.failed, found.sentences[0], found.sentences[-1]) == (
        failed,
        "Short.",
        "The connection was not tested.",
    )
    assert len(found.sentences) == 7


def test_only_the_token_is_accepted():
    """A prefix, another token and characters of any alphabet are refused without an error."""
    access = Access(TOKEN)

    assert access.accepts(TOKEN)
    for other in ("", TOKEN[:-1], TOKEN + "x", "é", "\0"):
        assert not access.accepts(other)


def test_a_form_token_belongs_to_its_session():
    """The token of one session is not accepted in another."""
    access = Access(TOKEN)
    one, other = (access.session(access.sign_in("Anna", NOW), NOW) for _ in range(2))

    assert access.accepts_form(one, access.form_token(one))
    assert not access.accepts_form(other, access.form_token(one))
    assert not access.accepts_form(one, "")
    assert not access.accepts_form(one, "é")


def test_a_link_signs_in_once_and_for_ten_minutes():
    """A link that was used, is too old, or was never made signs nobody in."""
    access = Access(TOKEN)
    code = access.make_link_code(NOW)

    assert not access.use_link_code("é", NOW)
    assert access.use_link_code(code, NOW)
    assert not access.use_link_code(code, NOW)
    assert not access.use_link_code(access.make_link_code(NOW), NOW + LINK_MS)


def test_five_wrong_tokens_make_an_address_wait_and_no_other():
    """The wait ends a minute after the first of the last five failures."""
    throttle = LoginThrottle()
    for second in range(5):
        assert throttle.wait_seconds("a", NOW + second * 1000) == 0
        throttle.failed("a", NOW + second * 1000)

    assert throttle.wait_seconds("a", NOW + 5_000) == 55
    assert throttle.wait_seconds("b", NOW + 5_000) == 0
    assert throttle.wait_seconds("a", NOW + 60_000) == 0


def test_many_addresses_are_limited_in_all_and_cost_bounded_memory():
    """Fifty failures in a minute make every address wait, and only the latest addresses are kept."""
    throttle = LoginThrottle(addresses_kept=10)
    for number in range(50):
        throttle.failed(str(number), NOW)

    assert throttle.wait_seconds("new", NOW + 1) == 60
    assert len(throttle._by_address) == 10


def test_a_name_is_one_short_line():
    """White space is joined; an empty or long name, and one with control characters, is refused."""
    assert clean_name("  Anna \n Example ") == "Anna Example"
    for refused in ("", "  ", "x" * 81, "a\x1b[31mb", "a\u202eb"):
        assert clean_name(refused) is None

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.retry import backoff_seconds, retry_after_seconds

NOW_MS = 1_795_400_000_000
FRACTIONS = st.floats(0, 1)


@given(st.integers(0, 5000), FRACTIONS, st.floats(0.01, 10), st.floats(10, 1000))
def test_wait_is_between_half_and_all_of_a_capped_step(attempt, random, first, cap):
    """The wait is at most the cap, at least half of the first step, and grows with the attempts."""
    wait = backoff_seconds(attempt, random, first=first, cap=cap)

    assert first / 2 <= wait <= cap
    assert backoff_seconds(attempt + 1, random, first=first, cap=cap) >= wait


def test_wait_doubles():
    """Each step is twice the one before, up to the cap."""
    steps = [backoff_seconds(attempt, 1, first=1, cap=10) for attempt in range(6)]

    assert steps == [1, 2, 4, 8, 10, 10]


@given(st.integers(0, 5000), FRACTIONS, st.floats(0.1, 100_000))
def test_minimum_is_honoured(attempt, random, minimum):
    """The wait is at least the minimum, also above the cap, and then spread."""
    wait = backoff_seconds(attempt, random, cap=60, minimum=minimum)

    assert minimum <= wait <= max(60, minimum + 1)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 1.5 ", 1.5),
        ("0", 0),
        ("-5", 0),
        ("9" * 5000, 900),
        ("Sat, 21 Nov 2026 20:14:20 GMT", None),
        ("2026-11-23T06:00Z", None),
    ],
)
def test_retry_after_is_read(value, seconds):
    """Seconds and both kinds of dates are understood, from 0 to the caller's maximum."""
    found = retry_after_seconds(value, NOW_MS, maximum=900)

    assert found is not None
    assert 0 <= found <= 900
    assert seconds is None or found == seconds


@pytest.mark.parametrize(
    "value", [None, "", "soon", "1e9", "inf", "nan", "٣", "12 s", "Sat, 99 Nov 2026", "0x10"]
)
def test_an_invalid_header_is_ignored(value):
    """A header that cannot be understood counts as missing."""
    assert retry_after_seconds(value, NOW_MS, maximum=900) is None


@given(st.integers(-10_000, 10_000))
def test_date_is_counted_from_now(seconds):
    """A date leads to the time until then, a past one to no wait."""
    date = formatdate(NOW_MS // 1000 + seconds, usegmt=True)

    assert retry_after_seconds(date, NOW_MS, maximum=900) == min(max(seconds, 0), 900)


@given(
    st.text()
    | st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,6} [A-Z][a-z]{2} [0-9]{1,6} [0-9:]{0,9} [+-]?[0-9A-Z]{0,9}")
)
def test_any_header_gives_a_bounded_wait_or_none(value):
    """No header raises an error, or exceeds the maximum."""
    found = retry_after_seconds(value, NOW_MS, maximum=900)

    assert found is None or 0 <= found <= 900

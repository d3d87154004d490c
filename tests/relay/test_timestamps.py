import time
from datetime import UTC, datetime, timedelta

import pytest

from relay.retry import retry_after_seconds
from relay.timestamps import DAY_MS, Instant, day_of, day_start, parse_http_date, parse_iso, to_iso

NOVEMBER = 784_111_777_000


@pytest.fixture(params=["America/New_York", "Asia/Kolkata"])
def _elsewhere(request, monkeypatch):
    """Run on a machine in another time zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_elsewhere")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", NOVEMBER),
        ("Sun, 06 Nov 1994 08:49:37", NOVEMBER),
        ("Sun, 06 Nov 1994 08:49:37 -0000", NOVEMBER),
        ("Sunday, 06-Nov-94 08:49:37 GMT", NOVEMBER),
        ("Sun Nov  6 08:49:37 1994", NOVEMBER),
        ("Sun, 06 Nov 1994 09:49:37 +0100", NOVEMBER),
        ("Sun, 31 Feb 1994 08:49:37 GMT", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_a_date_is_never_read_as_local_time(text, expected):
    """An HTTP date is in GMT; without a zone, and in each of the three forms, it means the same."""
    assert parse_http_date(text) == expected


@pytest.mark.usefixtures("_elsewhere")
@pytest.mark.parametrize("text", ["Sun, 06 Nov 1994 08:49:47", "1994-11-06T08:49:47", "1994-11-06T08:49:47Z"])
def test_a_wait_until_a_date_without_a_zone_is_right(text):
    """Retry-After and X-RateLimit-Reset name the same instant on every machine."""
    assert retry_after_seconds(text, NOVEMBER, maximum=60) == 10


@pytest.mark.parametrize("day", ["2024-02-29", "2026-02-28", "1969-12-31", "0001-01-01", "9999-12-31"])
@pytest.mark.parametrize("time_of_day", ["00:00:00.000", "09:30:07.125", "23:59:59.999"])
def test_an_instant_is_that_of_the_calendar(day, time_of_day):
    text = f"{day}T{time_of_day}"
    expected = datetime.fromisoformat(text).replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    ms = expected // timedelta(milliseconds=1)
    for _ in range(2):  # the second time its day is known already
        assert parse_iso(f"{text}+0000") == Instant(ms, exact=True)
        assert to_iso(ms) == f"{text}Z"
        assert day_of(ms) == day
        assert day_start(day) == ms // DAY_MS * DAY_MS


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-29T00:00:00Z",
        "2026-02-29T00:00:00.000+0000",
        "0000-01-01T00:00:00.000Z",
        "2026-01-01T24:00:00.000+0000",
        "2026-01-01T23:60:00.000+0000",
        "2026-01-01T23:59:60.000Z",
        "2026-13-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T23:60:00Z",
        "2026-01-01T23:59:60Z",
        "0001-01-01T00:00:00+00:01",
    ],
)
def test_a_time_that_no_clock_shows_is_none(text):
    assert [parse_iso(text), parse_iso(text)] == [None, None]

import time

import pytest

from relay.retry import retry_after_seconds
from relay.timestamps import parse_http_date

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

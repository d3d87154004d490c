"""Times as an operator writes them: zones, forms and days."""

import pytest

from management.organizations.validation import InputError
from management.times import parse_time
from relay.timestamps import to_iso


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-25", "2026-11-25T00:00:00.000Z"),
        (" 2026-11-25 ", "2026-11-25T00:00:00.000Z"),
        ("2026-11-25T08:00", "2026-11-25T08:00:00.000Z"),
        ("2026-11-25 08:00", "2026-11-25T08:00:00.000Z"),
        ("2026-11-25t08:00z", "2026-11-25T08:00:00.000Z"),
        ("2026-11-25T08:00:01.1239Z", "2026-11-25T08:00:01.123Z"),
        ("2026-11-25T08:00+0530", "2026-11-25T02:30:00.000Z"),
        ("2026-11-25 08:00:01 -08:00", "2026-11-25T16:00:01.000Z"),
        ("2026-11-25T08:00+02", "2026-11-25T06:00:00.000Z"),
        ("2026-11-25T08:00+14:00", "2026-11-24T18:00:00.000Z"),
    ],
)
def test_a_time_has_a_zone_or_is_utc(text, instant):
    """A day is its first instant; digits below the millisecond are cut."""
    assert to_iso(parse_time(text)) == instant


@pytest.mark.parametrize(
    "text",
    [
        *("", "yesterday", "10:00", "2026-13-01", "2026-02-30", "2026-11-25T24:00Z", "2026-11-25T08"),
        *("20261125", "2026-11-25T08:00+25:00", "2026-11-25T08:00+02:75", "2026-11-25 08:00 CET"),
        *("0001-01-01T00:00+02:00", "٢٠٢٦-11-25", "1764057600"),
    ],
)
def test_another_text_is_refused_with_an_example(text):
    with pytest.raises(InputError, match="2026-11-25T08:00Z"):
        parse_time(text)

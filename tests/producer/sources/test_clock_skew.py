"""The difference of two clocks."""

import pytest

from producer.sources.clock_skew import ClockSkew
from relay.timestamps import day_start

NOW = day_start("2026-11-23") + 9 * 3_600_000


@pytest.mark.parametrize(
    ("error", "travel", "ahead"),
    [
        (0, 0, 0),
        (0, 5_000, 0),
        (999, 0, 0),
        (40_000, 0, 39_000),
        (40_000, 4_000, 39_000),
        (-40_000, 0, -40_000),
    ],
)
def test_the_clock_is_only_corrected_downwards(error, travel, ahead):
    """A slow answer of Jira does not count as clock skew."""
    clock = ClockSkew().observe(NOW + error, NOW + error + travel, NOW)
    assert clock.ahead_ms == ahead
    assert clock.skewed == (abs(ahead) > 30_000)
    assert clock.correct(NOW) == NOW - max(0, ahead)
    assert clock.observe(NOW, NOW, None) == clock

"""Counts in sentences."""

import pytest

from relay.quantities import quantity


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 events"), (1, "1 event"), (2, "2 events"), (1_000, "1,000 events")]
)
def test_one_is_singular(count, text):
    """One has no s, and a large number has commas."""
    assert quantity(count, "event") == text

"""Names that no organization has: pure."""

import pytest

from management.organizations.names import near_names, unknown_name_text

KNOWN = ["acme.atlassian.net", "acme-eu.atlassian.net", "beta.atlassian.net", "jira.example.com"]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("ACME", ["acme-eu.atlassian.net", "acme.atlassian.net"]),
        ("beta.atlasian.net", ["beta.atlassian.net"]),
        ("jira.examplecom", ["jira.example.com"]),
        ("quite-another-thing", []),
    ],
)
def test_the_nearest_names_hold_the_part_or_differ_in_a_few_letters(name, near):
    """At most three: a part of a name is what people type, and letters are what they mistype."""
    assert near_names(name, KNOWN)[: len(near)] == near
    assert len(near_names(name, KNOWN * 2)) <= 3
    assert bool(near_names(name, KNOWN)) == bool(near)


def test_without_organizations_nothing_is_near():
    assert unknown_name_text("acme", []) == "There is no organization acme. None has been added yet."
    assert unknown_name_text("quite-another-thing", KNOWN) == "There is no organization quite-another-thing."

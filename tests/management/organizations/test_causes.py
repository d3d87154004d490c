"""Equal causes of several organizations are equal texts, however many there are."""

import time

import pytest

from management.organizations.causes import shared_reason


@pytest.mark.parametrize(
    ("reason", "shared"),
    [
        ("acme: https://acme.example refuses anna@x.example.", "NAME: URL refuses USER."),
        ("acme.example, acme", "HOST, NAME"),
        ("no-acme acme-2 acme_2 2acme .acme äcme acmeä", "no-acme acme-2 acme_2 2acme .acme äcme acmeä"),
        ("acmeacme acme acme", "acmeacme NAME NAME"),
        ("acme.", "NAME."),
        ("", ""),
    ],
)
def test_what_belongs_to_one_organization_is_a_placeholder(reason, shared):
    """A part of a longer name is not the name."""
    assert shared_reason(reason, "acme", "https://acme.example", "anna@x.example") == shared


def cpu_seconds(numbers):
    """Return what the reasons of these organizations cost."""
    began = time.process_time()
    for number in numbers:
        name, user = f"site-{number:05}.example", f"user-{number}@example.com"
        reason = f"{name}: https://{name} refuses {user} (401)."
        assert shared_reason(reason, name, f"https://{name}", user) == "HOST: URL refuses USER (401)."
    return time.process_time() - began


def test_a_reason_costs_the_same_for_each_of_many_organizations():
    """The first page has the reasons of ten thousand, every few seconds: nothing may be prepared for each of them."""
    one, many = cpu_seconds([1] * 5_000), cpu_seconds(range(5_000))

    assert many < 4 * one

"""Settings and names of an object store."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.destinations.object_store.config import (
    Location,
    ObjectStoreConfig,
    identity,
    parse_location,
    require_prefix,
)
from consumer.destinations.object_store.names import Chain, day_name


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("file:///srv/jira-audit", Location("file", directory=Path("/srv/jira-audit"))),
        ("s3://acme-audit/jira/one", Location("s3", "acme-audit", "jira/one")),
        ("s3://acme-audit", Location("s3", "acme-audit")),
        ("gs://acme-audit/", Location("gs", "acme-audit")),
        ("az://acmeaudit/audit/jira", Location("az", "audit", "jira", "acmeaudit")),
    ],
)
def test_a_url_names_a_place(url, location):
    assert parse_location(url) == location


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://acme.s3.amazonaws.com", "must be file:///DIRECTORY, s3://"),
        ("file://srv/jira", "from the root on"),
        ("file:///srv/../etc", "from the root on"),
        ("s3://A/x", "is none"),
        ("s3://acme-audit/a//b", "must have a prefix"),
        ("s3://acme-audit/_relay", "must have a prefix"),
        ("s3://acme-audit/a/../b", "must have a prefix"),
        ("s3://acme-audit/a?b", "must have a prefix"),
        ("az://audit", "storage account"),
        ("az://acmeaudit", "storage account"),
    ],
)
def test_a_wrong_url_is_refused(url, message):
    with pytest.raises(ValueError, match=message):
        ObjectStoreConfig(kind="object-store", location=url)


@pytest.mark.parametrize("prefix", ["", "/", "..", "a b", "a/.b", "_a", "a\n", "ä"])
def test_a_wrong_prefix_is_refused(prefix):
    """Nothing of it may leave the folder, and readers skip names that begin with a dot or an underscore."""
    with pytest.raises(ValueError, match="prefix"):
        require_prefix(prefix)


def test_the_identity_names_prefixes_and_endpoint():
    config = ObjectStoreConfig(
        kind="object-store",
        location="s3://acme-audit/jira/",
        endpoint="https://minio.example.com",
        by_organization={"acme.atlassian.net": "organization=acme"},
    )
    assert identity(config)["history"] == {
        "location": "s3://acme-audit/jira",
        "endpoint": "https://minio.example.com",
        "folder": "history",
        "prefix of acme.atlassian.net": "organization=acme",
    }


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1), st.integers(0, 99_999))
def test_names_sort_as_offsets_do(first, second, partition):
    """A listing finds the object before an offset by the order of names."""
    chain = Chain("live", "jira-audit.events", partition)
    assert chain.first_offset(chain.name(first)) == first
    assert (first < second) == (chain.name(first) < chain.name(second))
    assert (chain.stem < chain.name(first)) is True


@pytest.mark.parametrize(
    "name", ["events-00003-1.parquet", "events-00003-00000000000000000001.parquet.tmp", "other", ""]
)
def test_names_of_others_are_none_of_a_chain(name):
    assert Chain("live", "events", 3).first_offset(name) is None


def test_no_two_chains_share_a_stem():
    """Names of topics may end in what looks like a partition."""
    one, two = Chain("live", "events", 3), Chain("live", "events-00003", 0)
    assert one.first_offset(two.name(1)) is None
    assert two.first_offset(one.name(1)) is None


@pytest.mark.parametrize(
    ("days", "name"),
    [(0, "1970-01-01"), (20_779, "2026-11-22"), (-1, "1970-01-01"), (10**9, "9999-12-31")],
)
def test_every_day_has_a_name(days, name):
    assert day_name(days) == name

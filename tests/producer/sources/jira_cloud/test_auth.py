"""Endpoints: which host gets a key."""

import pytest

from producer.sources.jira_cloud.allowed_hosts import AllowedHosts
from producer.sources.jira_cloud.auth import open_endpoint
from relay.errors import RelayError


@pytest.mark.parametrize(
    ("url", "user", "key", "word"),
    [
        ("https://evil.example", "u@x", "k", "evil.example"),
        ("http://acme.atlassian.net", "u@x", "k", "https"),
        ("https://acme.atlassian.net", "u:x", "k", "user name"),
        ("https://acme.atlassian.net", "", "k", "user name"),
        ("https://acme.atlassian.net", "u@x", "", "API key"),
    ],
)
def test_an_endpoint_exists_only_for_a_safe_destination(url, user, key, word):
    """A foreign host, plain http and an invalid credential are refused before a request."""
    with pytest.raises(RelayError, match=word):
        open_endpoint("acme", url, user, key, AllowedHosts("https://api.atlassian.com"))


@pytest.mark.parametrize(
    ("site", "gateway"),
    [
        ("https://acme.atlassian.net", "https://gateway.example"),
        ("https://acme.atlassian-us-gov-mod.net", "https://api.atlassian-us-gov-mod.com"),
    ],
)
def test_each_cloud_has_its_own_gateway(site, gateway):
    """A key of a Government Cloud site reaches no commercial host, and the other way round."""
    known = AllowedHosts("https://gateway.example")
    assert open_endpoint("acme", site, "u", "k", known).base_url == site
    found = open_endpoint("acme", site, "u", "k", known, gateway=True, cloud_id="1-2")
    assert found.base_url == f"{gateway}/ex/jira/1-2"


def test_the_gateway_needs_a_cloud_id():
    """An invalid cloud id cannot change the URL."""
    known = AllowedHosts("https://api.atlassian.com")
    for cloud_id in (None, "", "../x", "a/b", "a?b"):
        with pytest.raises(RelayError, match="cloud id"):
            open_endpoint(
                "acme", "https://acme.atlassian.net", "u", "k", known, gateway=True, cloud_id=cloud_id
            )
    endpoint = open_endpoint(
        "acme", "https://acme.atlassian.net", "u", "k", known, gateway=True, cloud_id="1-2"
    )
    assert endpoint.base_url == "https://api.atlassian.com/ex/jira/1-2"

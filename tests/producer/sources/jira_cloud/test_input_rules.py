"""The form of URL and user of an organization on Jira Cloud."""

import pytest

from producer.sources.jira_cloud.input_rules import parse_site
from relay.url_policy import UrlError


@pytest.mark.parametrize(
    "url",
    [
        "https://api.atlassian.com/ex/jira/0f2d1a52-0000-4000-8000-000000000000",
        "https://api.atlassian.com",
        "https://api.atlassian-us-gov-mod.com/ex/jira/0-1",
        "https://admin.atlassian.com/s/0-1/jira",
        "https://home.atlassian.com/o/0-1",
        "https://atlassian.com",
    ],
)
def test_an_address_of_atlassian_that_is_no_site_is_explained(url):
    """Its name would be that of every organization."""
    with pytest.raises(
        UrlError, match=r"not a Jira site: use the address .* such as https://acme\.atlassian\.net"
    ):
        parse_site(url)


def test_the_address_of_a_browser_gives_the_sites_own():
    """A path is refused with the address to use instead."""
    assert parse_site("https://Acme.atlassian.net/") == "https://acme.atlassian.net"
    with pytest.raises(UrlError, match=r"use https://acme\.atlassian\.net alone"):
        parse_site("https://acme.atlassian.net/jira/software/projects/X/boards/1")

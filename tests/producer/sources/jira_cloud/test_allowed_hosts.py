import ipaddress

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from producer.sources.jira_cloud.allowed_hosts import AllowedHosts
from relay.url_policy import UrlError
from tests.support.urls import URL_PIECES

HOSTS = AllowedHosts("https://api.atlassian.com", ["jira.example.com", "other.example.com:8443"])


def is_allowed(url, hosts=HOSTS):
    try:
        hosts.check(url)
    except UrlError:
        return False
    return True


@pytest.mark.parametrize(
    "url",
    [
        "https://acme.atlassian.net/rest/api/3/auditing/record?limit=1",
        "https://api.atlassian.com/ex/jira/0-1/rest/api/3/myself",
        "https://acme.atlassian-us-gov-mod.net",
        "https://api.atlassian-us-gov-mod.com/ex/jira/0-1",
        "https://jira.example.com:7443/x",
        "https://other.example.com:8443",
        "http://127.0.0.1:4711/x",
        "http://localhost:4711",
        "https://[::1]:4711",
    ],
)
def test_credentials_may_go_to_known_hosts(url):
    """Sites, the gateway, this machine and allowed hosts may get a credential."""
    assert is_allowed(url)


HOSTILE = [
    "http://acme.atlassian.net",
    "https://atlassian.net",
    "https://x.acme.atlassian.net.evil.example",
    "https://acme.atlassian.net.evil.example",
    "https://acme-atlassian.net",
    "https://atlassian-us-gov-mod.net",
    "https://acme.stg.atlassian-us-gov-mod.net",
    "https://acme.atlassian-us-gov-mod.com",
    "https://acme.atlassian-us-gov-mod.net.evil.example",
    "https://acme.evil-atlassian.net",
    "https://acme.atlassian.net@evil.example",
    "https://acme.atlassian.net:443@evil.example",
    "https://evil.example/acme.atlassian.net",
    "https://evil.example#.atlassian.net",
    "https://evil.example?.atlassian.net",
    "https://evil.example\\.atlassian.net",
    "https://evil.example\t.atlassian.net",
    "https://evil.example%00.atlassian.net",
    "https://acme.atlassian.net\n@evil.example",
    "https://acme.atlassian.net/\\evil example",
    "https://\uff41cme.atlassian.net",
    "https://api.atlassian.com.evil.example",
    "https://x.api.atlassian.com",
    "https://api.atlassian.com:8443",
    "https://acme.jira.com",
    "http://jira.example.com",
    "https://other.example.com",
    "https://169.254.169.254",
    "http://localhost.evil.example",
    "http://127.0.0.1.evil.example",
    "http://2130706433",
    "http://127.1",
    "http://[::ffff:127.0.0.1]",
    "http://0.0.0.0",
    "//acme.atlassian.net",
    "https:acme.atlassian.net",
    "",
]


@pytest.mark.parametrize("url", HOSTILE)
def test_credentials_go_to_no_other_host(url):
    """A lookalike, plain http, and a URL that two parsers read differently get no credential."""
    assert not is_allowed(url)


@given(st.lists(URL_PIECES, max_size=9).map("".join) | st.text(max_size=40).map("https://{}".format))
@example("https://acme.atlassian.net:443@evil.example")
@settings(max_examples=1500)
def test_no_hostile_url_passes(url):
    """httpx sends an accepted URL to an allowed host, over https or to this machine alone."""
    if not is_allowed(url):
        return

    target = httpx.Request("GET", url).url

    host, scheme = target.raw_host.decode().removesuffix("."), target.scheme
    if scheme == "http":
        assert host == "localhost" or ipaddress.ip_address(host).is_loopback
    else:
        own = host.endswith(".atlassian.net") or host in {
            "api.atlassian.com",
            "jira.example.com",
            "localhost",
        }
        assert own or ipaddress.ip_address(host).is_loopback
    assert not target.userinfo


def test_the_name_of_a_site_alone_is_refused_with_its_whole_address():
    """A new user may give `acme`; a host of another domain is completed by nothing."""
    with pytest.raises(UrlError, match=r"The site acme has the URL https://acme\.atlassian\.net\."):
        HOSTS.check("https://acme")
    with pytest.raises(UrlError) as refused:
        HOSTS.check("https://acme.example.com")
    assert "The site" not in str(refused.value)

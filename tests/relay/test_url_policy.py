import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.url_policy import UrlError, organization_name, parse_origin, parse_site
from tests.support.urls import URL_PIECES


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://acme.atlassian.net", "acme.atlassian.net"),
        ("HTTPS://ACME.Atlassian.NET:443/", "acme.atlassian.net"),
        ("https://acme.atlassian.net.", "acme.atlassian.net"),
        ("https://bücher.example:8443", "xn--bcher-kva.example:8443"),
        ("https://\uff41cme.atlassian\u3002net", "acme.atlassian.net"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://localhost:80", "localhost"),
        ("https://localhost:80", "localhost:80"),
        ("http://[0:0:0:0:0:0:0:1]:8080", "[::1]:8080"),
    ],
)
def test_organization_is_named_by_its_host(url, name):
    """The name is the host in normal form, with the port unless it is the scheme's default."""
    assert organization_name(url) == name


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("acme.atlassian.net", "must begin with https://"),
        ("ftp://acme.atlassian.net", "must begin with https://"),
        ("https://", "no valid host"),
        ("https:///acme.atlassian.net", "no valid host"),
        ("http://acme.atlassian.net", "plain http"),
        ("https://acme.atlassian.net/jira", "a path after its host: use https://acme.atlassian.net alone"),
        ("https://acme.atlassian.net?x=1", "a query after its host: use https://acme.atlassian.net alone"),
        ("https://acme.atlassian.net/?x=1", "a query after its host"),
        ("https://acme.atlassian.net#x", "a fragment after its host: use https://acme.atlassian.net alone"),
        ("https://ada:canary@acme.atlassian.net", "a user or a password"),
        ("https://acme.atlassian.net:99999", "a number from 1 to 65535"),
        ("https://acme.atlassian.net:", "a number from 1 to 65535"),
        ("https://acme.atlassian.net:٤٤٣", "a number from 1 to 65535"),
        ("https://acme..atlassian.net", "no valid host"),
        ("https://-acme.atlassian.net", "no valid host"),
        ("https://evil.example\\.atlassian.net", "no valid host"),
        ("https://evil.example%2f.atlassian.net", "no valid host"),
        ("https://evil.example\n.atlassian.net", "no valid host"),
        (" https://acme.atlassian.net", "must begin with https://"),
        ("https://2130706433", "an unusual form"),
        ("https://0x7f.1", "an unusual form"),
        ("https://0177.0.0.1", "an unusual form"),
        ("https://[::ffff:127.0.0.1]", "is an IPv4 address in IPv6 form"),
        ("https://[::1%eth0]", "no valid host"),
        ("https://xn--a.example", "no valid host"),
    ],
)
def test_an_invalid_url_is_rejected_with_a_sentence(url, why):
    """A URL that is not a plain origin is rejected, and the sentence shows no password."""
    with pytest.raises(UrlError) as caught:
        parse_origin(url)

    assert why in str(caught.value)
    assert "canary" not in str(caught.value)


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
    assert parse_site("https://Acme.atlassian.net/").url == "https://acme.atlassian.net"
    with pytest.raises(UrlError, match=r"use https://acme\.atlassian\.net alone"):
        parse_site("https://acme.atlassian.net/jira/software/projects/X/boards/1")


@given(st.lists(URL_PIECES, max_size=9).map("".join) | st.text(max_size=40).map("https://{}".format))
@settings(max_examples=500)
def test_normal_form_is_stable(url):
    """The normal form of an origin is its own normal form, and httpx reads it the same way."""
    try:
        origin = parse_origin(url)
    except UrlError:
        return

    assert parse_origin(origin.url) == origin
    assert httpx.URL(origin.url).raw_host.decode() == origin.host
    assert httpx.URL(origin.url).port == origin.port

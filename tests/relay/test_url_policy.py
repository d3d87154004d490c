import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.url_policy import UrlError, organization_name, parse_origin
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

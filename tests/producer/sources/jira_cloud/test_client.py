"""One call to a simulated Jira each, with every possible answer."""

import asyncio
import gzip
import json
import socket
import ssl
from urllib.parse import quote

import httpx
import pytest

from producer.sources.errors import ErrorKind, RetryAction, SourceFailure
from producer.sources.jira_cloud import client as jira
from producer.sources.jira_cloud.allowed_hosts import AllowedHosts
from producer.sources.jira_cloud.auth import open_endpoint
from producer.sources.jira_cloud.page import Page
from relay import timestamps
from simulators import faults
from simulators.azure.certificate import write_certificate
from simulators.jira_cloud import faults as jira_faults
from tests.support.jira_endpoints import NOW, at_gateway, at_site, fetch_page


async def test_a_page_holds_the_requested_range(client, site):
    """Both bounds are inclusive to the ms, at the site and at the gateway, and Jira's clock is returned."""
    inside = [site.add_record(created=NOW - ago)["id"] for ago in (10_000, 5_000, 0)]
    for ago in (10_001, -1):
        site.add_record(created=NOW - ago, visible_after=0)
    for endpoint in (at_site(site), at_gateway(site)):
        found = await fetch_page(client, endpoint)
        assert [record["id"] for record in found.records] == inside[::-1]
        assert found.date_ms == NOW // 1000 * 1000
        assert found.size > 100
        second = await fetch_page(client, endpoint, offset=1, limit=1)
        assert [record["id"] for record in second.records] == [inside[1]]
    assert site.requests()[0].query["from"] == timestamps.to_iso(NOW - 10_000)
    assert site.requests()[0].query["from"].endswith("Z")


async def test_a_probe_asks_without_dates(client, site):
    """A probe returns the newest record, and by `total` the oldest."""
    numbers = [site.add_record(created=NOW - ago * 1000)["id"] for ago in (5000, 300, 2)]
    newest = await jira.probe(client, at_site(site))
    oldest = await jira.probe(client, at_site(site), newest.total - 1)
    assert [found.records[0]["id"] for found in (newest, oldest)] == [numbers[2], numbers[0]]
    assert set(site.requests()[0].query) == {"offset", "limit"}


async def test_account_and_site_are_identified(client, site):
    """`myself` returns the account; `tenant_info` returns the site without a key."""
    assert (await jira.myself(client, at_site(site))).account_id
    assert await jira.tenant_info(client, "acme", site.url) == jira.TenantInfo(site.cloud_id, NOW)
    assert (await jira.myself(client, at_gateway(site))).kind is ErrorKind.SCOPE_MISSING
    assert site.requests("tenant_info")[0].user is None


@pytest.mark.parametrize(
    ("fault", "kind", "action"),
    [
        (jira_faults.rate_limited(7), ErrorKind.RATE_LIMITED, RetryAction.WAIT),
        (jira_faults.rate_limited(7, as_date=True), ErrorKind.RATE_LIMITED, RetryAction.WAIT),
        (jira_faults.rate_limited(None), ErrorKind.RATE_LIMITED, RetryAction.WAIT),
        (jira_faults.unavailable(), ErrorKind.UNAVAILABLE, RetryAction.RETRY),
        (jira_faults.unavailable(3), ErrorKind.UNAVAILABLE, RetryAction.WAIT),
        (jira_faults.server_error(502), ErrorKind.UNAVAILABLE, RetryAction.RETRY),
        (faults.reset(), ErrorKind.UNREACHABLE, RetryAction.RETRY),
        (faults.reset_in_body(), ErrorKind.UNREACHABLE, RetryAction.RETRY),
        (faults.truncated_body(), ErrorKind.UNREACHABLE, RetryAction.RETRY),
        (faults.cut_body(), ErrorKind.BROKEN_ANSWER, RetryAction.RETRY),
        (
            faults.altered_head(headers={"Content-Encoding": "gzip"}),
            ErrorKind.BROKEN_ANSWER,
            RetryAction.RETRY,
        ),
        (jira_faults.html(), ErrorKind.BROKEN_ANSWER, RetryAction.RETRY),
        (jira_faults.wrong_credentials(), ErrorKind.KEY_REFUSED, RetryAction.FIX),
        (jira_faults.wrong_credentials(as_json=True), ErrorKind.KEY_REFUSED, RetryAction.FIX),
        (jira_faults.gateway_wrong_credentials(), ErrorKind.KEY_REFUSED, RetryAction.FIX),
        (jira_faults.scope_mismatch(), ErrorKind.SCOPE_MISSING, RetryAction.FIX),
        (jira_faults.not_administrator(), ErrorKind.NOT_ADMINISTRATOR, RetryAction.FIX),
        (jira_faults.free_plan(), ErrorKind.FREE_PLAN, RetryAction.FIX),
        (jira_faults.captcha(), ErrorKind.CAPTCHA, RetryAction.FIX),
        (jira_faults.captcha(401), ErrorKind.CAPTCHA, RetryAction.FIX),
        (jira_faults.connect_token(), ErrorKind.KEY_TYPE, RetryAction.FIX),
        (jira_faults.anonymous(), ErrorKind.ANONYMOUS, RetryAction.FIX),
        (faults.respond_with(404, "nothing here"), ErrorKind.NOT_THE_API, RetryAction.FIX),
        (faults.respond_with(200, ""), ErrorKind.BROKEN_ANSWER, RetryAction.RETRY),
    ],
    ids=lambda value: getattr(value, "name", None),
)
async def test_every_fault_is_a_value_that_names_it(client, site, fault, kind, action):
    """A failed call returns its cause, and the next call succeeds."""
    site.add_record(created=NOW - 1)
    site.fault(fault)
    found = await fetch_page(client, at_site(site))
    assert (found.kind, found.action) == (kind, action)
    assert found.message.startswith("acme: ")
    assert site.token not in found.message
    assert isinstance(await fetch_page(client, at_site(site)), Page)


async def test_a_requested_wait_is_returned(client, site):
    """Seconds and dates give the same wait."""
    for as_date in (False, True):
        site.fault(jira_faults.rate_limited(7, as_date=as_date))
        assert 7 <= (await fetch_page(client, at_site(site))).retry_after_seconds <= 8


@pytest.mark.parametrize(
    "fault",
    [
        jira_faults.beta_rate_headers(),
        faults.gzipped_body(),
        faults.slow_body(0.1),
        jira_faults.wrong_total(None),
    ],
)
async def test_an_unusual_answer_is_read(client, site, fault):
    """Warnings, compression, a slow body and a missing total are no failures."""
    number = site.add_record(created=NOW - 1)["id"]
    site.fault(fault)
    assert [record["id"] for record in (await fetch_page(client, at_site(site))).records] == [number]


@pytest.mark.parametrize(
    ("location", "named"),
    [
        ("http://localhost:{port}/x", "localhost"),
        ("http://127.0.0.1:{port}/rest/api/3/auditing/record", "127.0.0.1"),
        ("https://127.0.0.1:{port}/", "127.0.0.1"),
        ("//localhost:{port}/", "localhost"),
        ("http://acme.atlassian.net@localhost:{port}/", "localhost"),
        ("http://{key}:{key}@localhost:{port}/?{key}#{key}", "localhost"),
        ("/elsewhere?{key}", "another page of the same host"),
    ],
)
async def test_a_redirect_is_never_followed_with_the_key(client, world, site, location, named):
    """No request reaches the target, and the message gives its host alone."""
    other = await world.add_site("other")
    location = location.format(port=httpx.URL(other.url).port, key=site.token)
    for status in (301, 302, 303, 307, 308):
        site.fault(jira_faults.redirect(location, status))
        found = await fetch_page(client, at_site(site))
        assert (found.kind, f"to {named}), and" in found.message) == (ErrorKind.REDIRECTED, True)
        assert site.token not in found.message
    assert not other.request_log
    assert len(site.request_log) == 5


async def test_a_call_has_a_time_limit(client, site):
    """A silent or a dripping peer costs no more than the limit."""
    site.add_record(created=NOW - 1)
    for fault in (faults.hang(600), faults.slow_body(600)):
        site.fault(fault)
        async with asyncio.timeout(120):
            assert (await fetch_page(client, at_site(site), seconds=0.3)).kind is ErrorKind.UNREACHABLE


async def test_a_call_can_be_cancelled(client, site):
    """A cancellation is no failure of Jira's."""
    site.fault(faults.hang(5))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await fetch_page(client, at_site(site))


async def test_an_answer_above_the_size_limit_is_refused(client, site):
    """The limit applies after decompression; the remedy is fewer records."""
    body = gzip.compress(b'{"records":[' + b" " * 10_000_000 + b"]}")
    site.fault(faults.respond_with(200, body, headers={"Content-Encoding": "gzip"}))
    assert (await fetch_page(client, at_site(site), max_bytes=100_000)).action is RetryAction.REDUCE_PAGE


async def test_no_session_is_kept():
    """The next request, perhaps of another organization, sends no cookie of an earlier answer."""
    cookies = []

    def answer(request):
        cookies.append(request.headers.get("Cookie"))
        return httpx.Response(200, headers={"Set-Cookie": "JSESSIONID=1; Path=/"}, json={"cloudId": "1"})

    async with httpx.MockTransport(answer) as client:
        for _ in range(2):
            await jira.tenant_info(client, "acme", "https://acme.atlassian.net")
    assert cookies == [None, None]


async def test_a_refused_connection_and_an_unknown_host_name_differ(client):
    """Each has its own kind."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        found = await jira.tenant_info(client, "acme", url)
    assert found.kind is ErrorKind.UNREACHABLE

    def unknown(_request):
        raise httpx.ConnectError("All connection attempts failed") from socket.gaierror(
            -2, "Name or service not known"
        )

    async with httpx.MockTransport(unknown) as lost:
        found = await jira.tenant_info(lost, "acme", "https://acme.atlassian.net")
    assert (found.kind, "acme.atlassian.net" in found.message) == (ErrorKind.HOST_UNKNOWN, True)


async def test_an_untrusted_certificate_is_reported(client, tmp_path):
    """A peer that speaks no TLS is reported too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(write_certificate(tmp_path / "ca.pem"))

    async def close(_reader, writer):
        writer.close()

    for settings, kind, word in (
        ({"ssl": context}, ErrorKind.TLS, "SSL_CERT_FILE"),
        ({}, ErrorKind.UNREACHABLE, "network"),
    ):
        async with await asyncio.start_server(close, "127.0.0.1", 0, **settings) as server:
            port = server.sockets[0].getsockname()[1]
            found = await jira.tenant_info(client, "acme", f"https://127.0.0.1:{port}")
            assert (found.kind, word in found.message) == (kind, True)


async def test_this_machine_is_reached_without_a_proxy(site, monkeypatch):
    """A proxy from the environment serves other hosts only."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with jira.open_client() as client:
        assert isinstance(await fetch_page(client, at_site(site)), Page)


@pytest.mark.parametrize("url", ["http://127.0.0.2:9", "http://localhost.:9", "http://[::1]:9"])
async def test_no_clear_text_goes_through_a_proxy(url, monkeypatch):
    """A request without TLS to this machine uses no proxy, under any name of it."""
    seen = []

    async def listen(reader, writer):
        seen.append(await reader.read(100))
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
        async with jira.open_client() as client:
            endpoint = open_endpoint("acme", url, "u", "k", AllowedHosts("https://api.atlassian.com"))
            assert isinstance(await jira.myself(client, endpoint), SourceFailure)
    assert seen == []


@pytest.mark.parametrize("place", range(150, 200, 7))
@pytest.mark.parametrize(
    "form", [str, quote, lambda key: json.dumps(key)[1:-1]], ids=["plain", "url", "json"]
)
async def test_no_part_of_a_returned_key_is_shown(client, site, place, form):
    """A shortened answer holds no part of the key, in any of its forms."""
    key = r'ATATT "quoted" \ and = more'
    site.fault(faults.respond_with(403, "." * place + form(key) + "." * 100, content_type="text/plain"))
    message = (await fetch_page(client, at_site(site, key))).message
    assert "....." in message
    assert "ATA" not in message


async def test_a_returned_key_is_not_shown(client, site):
    """A peer that echoes the request brings no key into a message."""
    endpoint = at_site(site)
    basic = endpoint.authorization.split()[1]
    site.fault(faults.respond_with(403, f'{{"errorMessages":["no {site.token} and {basic}"]}}'))
    found = await fetch_page(client, endpoint)
    assert "no … and …" in found.message
    assert site.token not in repr(endpoint)
    assert basic not in repr(endpoint)

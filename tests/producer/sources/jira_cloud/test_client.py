"""One call to a simulated Jira each, with everything that may come back."""

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
from producer.sources.jira_cloud.auth import open_endpoint
from producer.sources.jira_cloud.client import RequestLimits
from producer.sources.jira_cloud.connection_check import check_connection
from producer.sources.jira_cloud.mapping import restore_record, to_event
from producer.sources.jira_cloud.page import Page
from producer.sources.jira_cloud.pager import Pager, PagingLimits
from producer.state.intervals import TimeRange
from relay import timestamps
from relay.credentials.url_policy import AllowedHosts
from relay.errors import RelayError
from simulators import faults
from simulators.azure.certificate import write_certificate
from simulators.jira_cloud import faults as jira_faults
from simulators.jira_cloud.hostile import make_hostile_record, make_mistyped_record
from simulators.jira_cloud.world import JiraWorld
from tests.support.jira_records import without_nulls

NOW = 1_790_000_000_000


@pytest.fixture
async def world():
    async with JiraWorld(seed=1, clock=lambda: NOW) as world:
        yield world


@pytest.fixture
async def site(world):
    return await world.add_site("acme")


@pytest.fixture
async def client():
    async with jira.open_client() as client:
        yield client


def hosts(site):
    return AllowedHosts(site.gateway_root)


def at_site(site, key=None, user=None):
    return open_endpoint("acme", site.url, user or site.user, key or site.token, hosts(site))


def at_gateway(site, key=None):
    return open_endpoint(
        "acme",
        site.url,
        site.user,
        key or site.scoped_token,
        hosts(site),
        gateway=True,
        cloud_id=site.cloud_id,
    )


async def page(client, endpoint, from_ms=NOW - 10_000, until_ms=NOW, offset=0, limit=1000, **limits):
    return await jira.fetch_page(
        client, endpoint, from_ms, until_ms, offset, limit, limits=RequestLimits(**limits)
    )


async def test_a_page_is_what_was_asked_for(client, site):
    """Bounds are inclusive to the millisecond, at the site and at the gateway, and Jira's clock comes with it."""
    inside = [site.add_record(created=NOW - ago)["id"] for ago in (10_000, 5_000, 0)]
    for ago in (10_001, -1):
        site.add_record(created=NOW - ago, visible_after=0)
    for endpoint in (at_site(site), at_gateway(site)):
        found = await page(client, endpoint)
        assert [record["id"] for record in found.records] == inside[::-1]
        assert found.date_ms == NOW // 1000 * 1000
        assert found.size > 100
        second = await page(client, endpoint, offset=1, limit=1)
        assert [record["id"] for record in second.records] == [inside[1]]
    assert site.requests()[0].query["from"] == timestamps.to_iso(NOW - 10_000)
    assert site.requests()[0].query["from"].endswith("Z")


async def test_a_probe_asks_without_dates(client, site):
    """The newest record, and by `total` the oldest."""
    numbers = [site.add_record(created=NOW - ago * 1000)["id"] for ago in (5000, 300, 2)]
    newest = await jira.probe(client, at_site(site))
    oldest = await jira.probe(client, at_site(site), newest.total - 1)
    assert [found.records[0]["id"] for found in (newest, oldest)] == [numbers[2], numbers[0]]
    assert set(site.requests()[0].query) == {"offset", "limit"}


async def test_myself_and_the_site(client, site):
    """Who we are, and which site it is, which may be asked without a key."""
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
        (faults.respond_with(404, "nothing here"), ErrorKind.NOT_JIRA, RetryAction.FIX),
        (faults.respond_with(200, ""), ErrorKind.BROKEN_ANSWER, RetryAction.RETRY),
    ],
    ids=lambda value: getattr(value, "name", None),
)
async def test_every_fault_is_a_value_that_names_it(client, site, fault, kind, action):
    """Whatever goes wrong with a call comes back as its cause; the next call is as if nothing had been."""
    site.add_record(created=NOW - 1)
    site.fault(fault)
    found = await page(client, at_site(site))
    assert (found.kind, found.action) == (kind, action)
    assert found.message.startswith("acme: ")
    assert site.token not in found.message
    assert isinstance(await page(client, at_site(site)), Page)


async def test_a_wait_that_jira_asks_for_is_told(client, site):
    """Seconds and dates come out alike."""
    for as_date in (False, True):
        site.fault(jira_faults.rate_limited(7, as_date=as_date))
        assert 7 <= (await page(client, at_site(site))).retry_after_seconds <= 8


@pytest.mark.parametrize(
    "fault",
    [
        jira_faults.beta_rate_headers(),
        faults.gzipped_body(),
        faults.slow_body(0.1),
        jira_faults.wrong_total(None),
    ],
)
async def test_what_is_only_unusual_is_read(client, site, fault):
    """Warnings, compression, a slow body and a missing total are no failures."""
    number = site.add_record(created=NOW - 1)["id"]
    site.fault(fault)
    assert [record["id"] for record in (await page(client, at_site(site))).records] == [number]


@pytest.mark.parametrize(
    ("location", "told"),
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
async def test_a_redirect_is_never_followed_with_the_key(client, world, site, location, told):
    """Where Jira sends us, no request arrives, not even at the same host; the operator learns the host, and nothing else of it."""
    other = await world.add_site("other")
    location = location.format(port=httpx.URL(other.url).port, key=site.token)
    for status in (301, 302, 303, 307, 308):
        site.fault(jira_faults.redirect(location, status))
        found = await page(client, at_site(site))
        assert (found.kind, f"to {told}), and" in found.message) == (ErrorKind.REDIRECTED, True)
        assert site.token not in found.message
    assert not other.request_log
    assert len(site.request_log) == 5


async def test_a_call_has_an_end(client, site):
    """A peer that never answers, or drips, costs no more than the bound."""
    site.add_record(created=NOW - 1)
    for fault in (faults.hang(5), faults.slow_body(5)):
        site.fault(fault)
        async with asyncio.timeout(3):
            assert (await page(client, at_site(site), seconds=0.3)).kind is ErrorKind.UNREACHABLE


async def test_a_call_can_be_cancelled(client, site):
    """Cancelling is no failure of Jira's."""
    site.fault(faults.hang(5))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await page(client, at_site(site))


async def test_an_answer_beyond_measure_is_not_taken_in(client, site):
    """The bound is on what comes out of the compression; fewer records are the way on."""
    body = gzip.compress(b'{"records":[' + b" " * 10_000_000 + b"]}")
    site.fault(faults.respond_with(200, body, headers={"Content-Encoding": "gzip"}))
    assert (await page(client, at_site(site), max_bytes=100_000)).action is RetryAction.REDUCE_PAGE


async def test_no_session_is_kept(client, site):
    """A cookie that one answer sets is not sent with the next request, which may be another organization's."""
    site.fault(faults.altered_head(headers={"Set-Cookie": "JSESSIONID=1; Path=/"}))
    await page(client, at_site(site))
    assert len(client.cookies.jar) == 0


async def test_hosts_that_are_not_there(client):
    """Nothing listening, and a name that nobody knows, are told apart."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        found = await jira.tenant_info(client, "acme", url)
    assert found.kind is ErrorKind.UNREACHABLE

    def unknown(_request):
        raise httpx.ConnectError("All connection attempts failed") from socket.gaierror(
            -2, "Name or service not known"
        )

    async with httpx.AsyncClient(transport=httpx.MockTransport(unknown)) as lost:
        found = await jira.tenant_info(lost, "acme", "https://acme.atlassian.net")
    assert (found.kind, "acme.atlassian.net" in found.message) == (ErrorKind.HOST_UNKNOWN, True)


async def test_a_certificate_that_nobody_vouches_for(client, tmp_path):
    """A peer whose certificate is not trusted is named as that, and so is one that speaks no TLS."""
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
    """A proxy that the environment names is for the world outside."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with jira.open_client() as client:
        assert isinstance(await page(client, at_site(site)), Page)


@pytest.mark.parametrize("url", ["http://127.0.0.2:9", "http://localhost.:9", "http://[::1]:9"])
async def test_nothing_in_clear_goes_through_a_proxy(url, monkeypatch):
    """However this machine is called, what is sent to it without TLS is shown to no proxy."""
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
async def test_a_key_that_comes_back_is_not_shown_in_part(client, site, place, form):
    """Wherever an answer that is too long to quote is cut, what remains holds no part of the key in any of its forms."""
    key = r'ATATT "quoted" \ and = more'
    site.fault(faults.respond_with(403, "." * place + form(key) + "." * 100, content_type="text/plain"))
    message = (await page(client, at_site(site, key))).message
    assert "....." in message
    assert "ATA" not in message


async def test_a_key_that_comes_back_in_an_answer_is_not_shown(client, site):
    """Not even a peer that repeats what it was sent brings a key into a message."""
    endpoint = at_site(site)
    basic = endpoint.authorization.split()[1]
    site.fault(faults.respond_with(403, f'{{"errorMessages":["no {site.token} and {basic}"]}}'))
    found = await page(client, endpoint)
    assert "no … and …" in found.message
    assert site.token not in repr(endpoint)
    assert basic not in repr(endpoint)


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
def test_an_endpoint_exists_only_where_a_credential_may_go(url, user, key, word):
    """A host that is none of Jira's, plain http, and what makes no credential are refused before any request."""
    with pytest.raises(RelayError, match=word):
        open_endpoint("acme", url, user, key, AllowedHosts("https://api.atlassian.com"))


def test_the_gateway_needs_a_cloud_id():
    """What stands in for a cloud id cannot bend the URL."""
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


async def checked_connection(client, site, key=None, url=None):
    return await check_connection(client, "acme", url or site.url, site.user, key or site.token, hosts(site))


async def test_a_connection_that_works_is_told_by_its_endpoint(client, site):
    """An unscoped key works at the site, a scoped one at the gateway, and the site's id is learned either way."""
    site.add_record()
    for key, gateway in ((site.token, False), (site.scoped_token, True)):
        found = await checked_connection(client, site, key)
        assert (found.failure, found.gateway, found.cloud_id) == (None, gateway, site.cloud_id)
        assert ("gateway" in found.message) == gateway


async def test_an_empty_log_is_believed_by_who_we_are(client, site):
    """A site without records is fine if Jira knows us."""
    assert (await checked_connection(client, site)).failure is None
    assert len(site.requests("myself")) == 1
    assert (await checked_connection(client, site, site.scoped_token)).failure is None


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda site: site.token + "x", ErrorKind.KEY_REFUSED),
        (lambda site: site.add_token(administrator=False), ErrorKind.NOT_ADMINISTRATOR),
        (lambda site: site.add_token(scopes=["read:jira-work"]), ErrorKind.SCOPE_MISSING),
        (
            lambda site: site.add_token(scopes=["manage:jira-configuration"], administrator=False),
            ErrorKind.NOT_ADMINISTRATOR,
        ),
    ],
)
async def test_a_key_that_does_not_serve_is_told_why(client, site, make, kind):
    """Wrong, without rights, without scopes: each is told from the others, with one failed login at most."""
    found = await checked_connection(client, site, make(site))
    assert found.failure.kind is kind
    assert found.message == found.failure.message
    assert len([one for one in site.requests() if not one.gateway]) == 1


@pytest.mark.parametrize(
    ("fault", "path", "kind"),
    [
        (jira_faults.free_plan(), "record", ErrorKind.FREE_PLAN),
        (jira_faults.captcha(), "record", ErrorKind.CAPTCHA),
        (jira_faults.rate_limited(9), "record", ErrorKind.RATE_LIMITED),
        (jira_faults.rate_limited(9), "tenant", ErrorKind.RATE_LIMITED),
        (jira_faults.redirect("https://new.atlassian.net/"), "tenant", ErrorKind.REDIRECTED),
        (faults.respond_with(404, "<html>"), "", ErrorKind.NOT_JIRA),
        (jira_faults.html(), "", ErrorKind.NOT_JIRA),
        (jira_faults.html(), "record", ErrorKind.BROKEN_ANSWER),
        (jira_faults.anonymous(), "record", ErrorKind.ANONYMOUS),
    ],
)
async def test_a_site_that_does_not_serve_is_told_why(client, site, fault, path, kind):
    """What stands between us and the audit log is named once, by its cause."""
    site.fault(fault, times=3, path=path)
    found = await checked_connection(client, site)
    assert (found.failure.kind, found.gateway) == (kind, False)


@pytest.mark.parametrize("fault", [jira_faults.html(), faults.respond_with(404)], ids=lambda one: one.name)
async def test_a_site_that_does_not_tell_who_it_is_serves_all_the_same(client, site, fault):
    """As producers see it: not all that speak Jira's API know that question."""
    site.fault(fault, times=1, path="tenant")
    found = await checked_connection(client, site)
    assert (found.failure, found.cloud_id) == (None, None)


async def test_a_site_that_is_gone(client, site):
    """A host that does not answer is told before any key is sent."""
    await site.stop()
    assert (await checked_connection(client, site)).failure.kind is ErrorKind.UNREACHABLE


async def read_windows(client, endpoint, windows, limit=1000):
    """Everything that a pager finds in the windows: records restored from events, and what was unreadable."""
    pager, found, unreadable = Pager(windows, PagingLimits(page_records=limit)), [], []
    while (request := pager.next_request) is not None:
        answer = await page(
            client, endpoint, request.from_ms, request.until_ms, request.offset, request.limit
        )
        items = [to_event(record, "acme") for record in answer.records]
        if (result := pager.add(items, answer.size, answer.date_ms)) is not None:
            found += result.events
            unreadable += result.unreadable
    return found, unreadable


async def test_a_hostile_log_is_read_whole(client, site):
    """Short pages, repeated rows, a wrong total, ties, odd records, and rows that move: every record, whole, once."""
    site.quirks.page_cap, site.quirks.repeat_ids_divisible_by, site.quirks.reported_total = 7, 5, 3
    site.add_records(40, created=NOW - 7_000)
    site.add_history(60, NOW - 10_000, NOW - 5_000)
    for make in (make_hostile_record, make_mistyped_record):
        for ago in range(20):
            site.add_record(make(site.record_generator), created=NOW - 100 * ago)
    site.add_record(created=NOW - 50, fields={"id": 2**63 - 1, "created": "2026-09-21T16:13:19.950123+02:00"})
    early = site.add_record(created=NOW - 9_000, visible_after=None)["id"]
    site.after_pages(3, lambda: site.reveal(early))
    events, unreadable = await read_windows(
        client,
        at_site(site),
        [TimeRange(NOW - 10_000, NOW - 5_000), TimeRange(NOW - 5_000, NOW + 1)],
        limit=9,
    )
    assert not unreadable
    truth = {record["id"]: record for record in site.all_records()}
    truth.pop(early, None)
    found = {event["id"]: restore_record(event) for event in events}
    found.pop(early, None)
    assert set(found) == set(truth)
    assert {number: without_nulls(record) for number, record in truth.items()} == found
    assert len(events) == len({event["id"] for event in events})

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import pytest

from simulators import faults
from simulators.jira_cloud import faults as jira_faults
from simulators.jira_cloud.token_bucket import TokenBucket
from tests.support.jira_client import NOW, RECORDS, ManualClock, get_ids, open_client, running_site

FAULTS = [
    (jira_faults.rate_limited(None), 429),
    (jira_faults.unavailable(), 503),
    (jira_faults.server_error(), 500),
    (jira_faults.html(), 200),
    (jira_faults.wrong_credentials(), 401),
    (jira_faults.wrong_credentials(as_json=True), 401),
    (jira_faults.gateway_wrong_credentials(), 401),
    (jira_faults.scope_mismatch(), 401),
    (jira_faults.not_administrator(), 403),
    (jira_faults.free_plan(), 403),
    (jira_faults.captcha(401), 401),
    (jira_faults.connect_token(), 403),
    (jira_faults.anonymous(), 200),
    (jira_faults.redirect("http://127.0.0.1:9/"), 302),
]


@pytest.mark.parametrize(("fault", "status"), FAULTS, ids=lambda value: getattr(value, "name", None))
async def test_every_fault_has_its_status_and_date_and_is_logged(fault, status):
    """A fault answers one request with its status and the site's date, and the log of requests names it."""
    async with running_site(ManualClock()) as (site, client):
        record = site.add_record()["id"]
        site.fault(fault)
        answer = await client.get(RECORDS)
        assert answer.status_code == status
        assert parsedate_to_datetime(answer.headers["date"]).timestamp() * 1000 == NOW
        assert await get_ids(client) == [record]
        assert [(one.status, one.fault) for one in site.request_log] == [(status, fault.name), (200, None)]


async def test_retry_after_is_sent_in_seconds_or_as_a_date():
    """A 429 and a 503 can have either form, by the site's clock, and a 429 has its further headers."""
    async with running_site(ManualClock()) as (site, client):
        site.quirks.clock_skew_seconds = 3600
        site.fault(jira_faults.rate_limited(7, reset=datetime(2026, 3, 26, 16, 0, 59, tzinfo=UTC)))
        seconds = await client.get(RECORDS)
        assert seconds.headers["retry-after"] == "7"
        assert seconds.headers["ratelimit-reason"] == "jira-burst-based"
        assert seconds.headers["x-ratelimit-reset"] == "2026-03-26T16:00Z"
        site.fault(jira_faults.unavailable(7, as_date=True))
        dated = await client.get(RECORDS)
        until = parsedate_to_datetime(dated.headers["retry-after"])
        assert until.timestamp() * 1000 == NOW + 3_600_000 + 7_000
        assert [one.retry_after for one in site.request_log] == [7, 7]


async def test_a_skewed_clock_shows_in_date_and_created():
    """Date and `created` follow the site's own clock."""
    async with running_site(ManualClock()) as (site, client):
        site.quirks.clock_skew_seconds = -90
        site.add_record()
        answer = await client.get(RECORDS)
        assert parsedate_to_datetime(answer.headers["date"]).timestamp() * 1000 == NOW - 90_000
        created = datetime.fromisoformat(answer.json()["records"][0]["created"])
        assert created.timestamp() * 1000 == NOW - 90_000


async def test_total_can_be_wrong():
    """A fault changes or removes `total` once, and a quirk changes it always."""
    async with running_site() as (site, client):
        site.add_record()
        site.fault(jira_faults.wrong_total(0))
        site.fault(jira_faults.wrong_total(None))
        assert (await client.get(RECORDS)).json()["total"] == 0
        assert "total" not in (await client.get(RECORDS)).json()
        site.quirks.reported_total = 99
        assert (await client.get(RECORDS)).json()["total"] == 99


async def test_headers_of_future_limits_change_no_answer():
    """An answer with Beta headers has its records, and is not logged as a wait."""
    async with running_site() as (site, client):
        record = site.add_record()["id"]
        site.fault(jira_faults.beta_rate_headers())
        answer = await client.get(RECORDS)
        assert answer.headers["beta-retry-after"] == "3600"
        assert answer.json()["records"][0]["id"] == record
        assert site.request_log[-1].retry_after is None


async def test_broken_answers_are_logged_as_they_were_sent():
    """The log has a status only if one was sent, and a count of records only if the request was served."""
    async with running_site() as (site, client):
        site.add_record()
        for fault in (faults.reset(), faults.reset_in_body(), faults.truncated_body(), faults.hang()):
            site.fault(fault)
            patience = httpx.Timeout(60, read=0.2 if fault.name == "hang" else 60)
            with pytest.raises(httpx.TransportError):
                await client.get(RECORDS, timeout=patience)
        deadline = time.monotonic() + 60
        while len(site.request_log) < 4 and time.monotonic() < deadline:
            await client.get("/_edge/tenant_info")
        logged = [(one.status, one.records) for one in site.requests()]
        assert logged == [(None, None), (200, 1), (200, 1), (None, None)]


async def test_a_fault_meets_only_requests_to_its_path():
    """The default path is the audit log, another one can be named, and the gateway is included."""
    async with running_site() as (site, client):
        site.fault(jira_faults.server_error())
        assert (await client.get("/_edge/tenant_info")).status_code == 200
        async with open_client(site, token=site.scoped_token, base_url=site.gateway_url) as scoped:
            assert (await scoped.get(RECORDS)).status_code == 500
        site.fault(jira_faults.html(), path="tenant_info")
        assert (await client.get(RECORDS)).status_code == 200
        assert "<html>" in (await client.get("/_edge/tenant_info")).text


async def test_requests_above_the_limit_are_refused():
    """A request beyond the rate limit gets a 429 with its reason and a wait."""
    async with running_site() as (site, client):
        site.token_bucket = TokenBucket(lambda: 0.0)
        site.quirks.requests_per_second = 2
        answers = [await client.get(RECORDS) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[2].headers["ratelimit-reason"] == "jira-burst-based"
        assert answers[2].headers["retry-after"] == "1"


async def test_a_premature_request_is_found():
    """A request to the site or the gateway before the end of a wait is listed as premature."""
    async with running_site() as (site, client):
        site.fault(jira_faults.rate_limited(60))
        await client.get(RECORDS)
        answered = time.monotonic()
        assert site.premature_requests() == []
        while not site.premature_requests() and time.monotonic() < answered + 50:
            async with open_client(site, token=site.scoped_token, base_url=site.gateway_url) as scoped:
                await scoped.get(RECORDS)
        assert site.premature_requests()
        assert all(one.gateway for one in site.premature_requests())


async def test_a_site_can_be_stopped_and_started_again():
    """A stopped site refuses connections; after its start it has the same port and records."""
    async with running_site() as (site, client):
        record = site.add_record()["id"]
        assert await get_ids(client) == [record]
        await site.stop()
        with pytest.raises(httpx.TransportError):
            await client.get(RECORDS)
        await site.start()
        assert await get_ids(client) == [record]

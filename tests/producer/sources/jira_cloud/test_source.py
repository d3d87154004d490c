import asyncio
import itertools

import httpx
import pytest

from producer.sources.errors import ErrorKind, RetryAction, SourceError
from producer.sources.jira_cloud.allowed_hosts import AllowedHosts
from producer.sources.jira_cloud.factory import JiraCloudSources
from producer.sources.jira_cloud.request import RequestLimits
from producer.sources.jira_cloud.window_reader import JiraCloudLimits
from producer.sources.purpose import Purpose
from producer.sources.throttle import RequestSlots
from producer.state.intervals import TimeRange
from relay.organizations import Organization
from relay.timestamps import now_ms
from simulators import faults
from simulators.jira_cloud import faults as jira_faults
from tests.support.jira import StubCredentials, error_kinds, jira_clients, page_request
from tests.support.waiting import wait_until

TENANT = "_edge/tenant_info"


async def test_a_refused_key_is_tried_once_for_all_waiting_requests(jira, watchful):
    """Three simultaneous requests make one failed login, since failed logins lead to a CAPTCHA."""
    acme = await jira.add_site("acme")
    watchful.credentials.keys["acme"] = "wrong"
    source = watchful.source_for(acme)
    waiting = [asyncio.create_task(source.fetch_page(page_request())) for _ in range(3)]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.sleep(0.3)

    assert len(acme.requests()) == 1
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)


async def test_a_refused_key_is_not_tried_again_by_the_next_poller(jira, watchful):
    """A poller of a reloaded shard waits; a modified organization is tried at once."""
    acme = await jira.add_site("acme")
    watchful.credentials.keys["acme"] = "wrong"
    assert await error_kinds(watchful.source_for(acme).fetch_page(page_request())) == [ErrorKind.KEY_REFUSED]
    again = asyncio.create_task(watchful.source_for(acme).fetch_page(page_request()))
    await asyncio.sleep(0.2)
    assert len(acme.requests()) == 1
    await error_kinds(watchful.source_for(acme, interval_seconds=5).fetch_page(page_request()))

    assert len(acme.requests()) == 2
    again.cancel()
    await asyncio.wait({again})


@pytest.mark.parametrize("first", ["wrong", None])
async def test_a_new_key_ends_the_wait(jira, watchful, first):
    """The wait after a refused or a missing key ends."""
    acme = await jira.add_site("acme")
    watchful.organization(acme)
    watchful.credentials.keys["acme"] = first
    source = watchful.source_for(acme)
    assert await error_kinds(source.fetch_page(page_request())) != [None]
    waiting = asyncio.create_task(source.fetch_page(page_request()))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    watchful.credentials.keys["acme"] = acme.token

    assert (await asyncio.wait_for(waiting, 20)).records == ()


async def test_a_key_set_during_a_refusal_ends_the_wait(jira, watchful):
    """The refusal concerns the key that was sent."""
    acme = await jira.add_site("acme")
    watchful.organization(acme)
    watchful.credentials.keys["acme"] = "wrong"
    source = watchful.source_for(acme)
    refused = acme.fault(faults.delayed_response(0.5), times=1)
    source_error = asyncio.create_task(error_kinds(source.fetch_page(page_request())))
    await wait_until(lambda: refused.played > 0)
    watchful.credentials.keys["acme"] = acme.token
    assert await source_error != [None]

    assert (await asyncio.wait_for(source.fetch_page(page_request()), 20)).records == ()


@pytest.mark.parametrize(
    "url", ["https://evil.example", "http://acme.atlassian.net", "https://169.254.169.254", "garbage"]
)
async def test_a_host_outside_of_the_allowed_ones_gets_no_request(url):
    """The relay does not even ask for the site's id, so a forged URL sends it nowhere."""
    requests = []
    now = now_ms()
    async with httpx.MockTransport(requests.append) as client:
        known = JiraCloudSources(
            [client], StubCredentials(), AllowedHosts("https://api.atlassian.com"), now_ms
        )
        source = known.source_for(Organization("acme", url, "relay", now, now, 1))
        assert await error_kinds(source.bind_identity(None)) == [ErrorKind.NO_KEY]
    assert requests == []


@pytest.mark.parametrize("as_date", [False, True], ids=["seconds", "date"])
async def test_a_rate_limited_site_gets_no_request_from_anyone(jira, jira_fixture, as_date):
    """A new poller and the identity request wait too."""
    acme = await jira.add_site("acme")
    acme.fault(jira_faults.rate_limited(1, as_date=as_date), times=1)
    assert await error_kinds(jira_fixture.source_for(acme).fetch_page(page_request())) == [
        ErrorKind.RATE_LIMITED
    ]
    anew = jira_fixture.source_for(acme, interval_seconds=5)
    await asyncio.gather(
        anew.bind_identity(None), anew.fetch_page(page_request()), anew.fetch_page(page_request())
    )

    assert acme.premature_requests() == []
    assert len(acme.requests(TENANT)) == 1


async def test_one_site_gets_one_request_at_a_time(jira, jira_fixture):
    """Requests of different callers do not overlap."""
    acme = await jira.add_site("acme")
    acme.fault(faults.delayed_response(0.05), rate=1.0)
    source = jira_fixture.source_for(acme)
    await asyncio.gather(
        *(
            source.fetch_page(page_request(), [Purpose.LIVE, Purpose.BACKFILL][number % 2])
            for number in range(6)
        )
    )
    seen = sorted(acme.requests(), key=lambda one: one.received_at)

    assert len(seen) == 6
    assert all(one.ended_at <= after.received_at for one, after in itertools.pairwise(seen))


async def test_a_hanging_site_delays_no_other(jira, jira_fixture):
    """A request without an answer delays its own site only."""
    acme, globex = await jira.add_site("acme"), await jira.add_site("globex")
    acme.fault(faults.hang(), rate=1.0)
    hanging = [
        asyncio.create_task(jira_fixture.source_for(acme).fetch_page(page_request())) for _ in range(20)
    ]
    await asyncio.sleep(0.1)
    async with asyncio.timeout(20):
        await jira_fixture.source_for(globex).fetch_page(page_request())
    for task in hanging:
        task.cancel()
    await asyncio.wait(hanging)


async def test_low_priority_requests_leave_slots_to_the_others(jira):
    """Any number of backfill reads leaves the slots of live polling free."""
    slow = [await jira.add_site(f"slow{number}") for number in range(6)]
    for one in slow:
        one.fault(faults.hang(), rate=1.0)
    async with jira_clients(jira, slots=RequestSlots(3, 2)) as found:
        history = [
            asyncio.create_task(found.source_for(one).fetch_page(page_request(), Purpose.BACKFILL))
            for one in slow
        ]
        await asyncio.sleep(0.1)
        quick = await jira.add_site("quick")
        async with asyncio.timeout(20):
            await found.source_for(quick).fetch_page(page_request())

        assert not any(task.done() for task in history)
        for task in history:
            task.cancel()
        await asyncio.wait(history)


@pytest.mark.parametrize("cause", ["refused", "resting"])
async def test_waiting_sites_take_no_slot_from_others(jira, cause):
    """Refused keys and rate limits do not delay another site's backfill."""
    acme, globex = await jira.add_site("acme"), await jira.add_site("globex")
    async with jira_clients(jira, slots=RequestSlots(300, 1)) as found:
        if cause == "refused":
            found.credentials.keys["acme"] = "wrong"
        else:
            acme.fault(jira_faults.rate_limited(60), times=1)
        assert await error_kinds(found.source_for(acme).fetch_page(page_request())) != [None]
        waiting = asyncio.create_task(found.source_for(acme).fetch_page(page_request(), Purpose.BACKFILL))
        await asyncio.sleep(0.1)
        async with asyncio.timeout(60):
            await found.source_for(globex).fetch_page(page_request(), Purpose.BACKFILL)

        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait({waiting})


async def test_an_empty_answer_is_proven_or_refused(jira, hasty):
    """A record of another time or a known account is proof; a record in the window is a contradiction."""
    acme = await jira.add_site("acme")
    source = hasty.source_for(acme)
    await source.verify_empty(TimeRange(0, 1_000))
    record = acme.add_record(created=1_700_000_000_000)
    await source.verify_empty(TimeRange(0, 1_000))

    assert record["id"]
    assert await error_kinds(source.verify_empty(TimeRange(0, 1_800_000_000_000))) == [
        ErrorKind.BROKEN_ANSWER
    ]


async def test_the_clock_is_learned_from_every_answer(jira, jira_fixture):
    """One probe shows that the local clock is ten minutes ahead of Jira's."""
    acme = await jira.add_site("acme")
    acme.quirks.clock_skew_seconds = -600
    source, began = jira_fixture.source_for(acme), now_ms()
    await source.probe_clock()
    took = now_ms() - began

    assert 597_000 - took < source.clock_skew.ahead_ms < 601_000 + took
    assert source.clock_skew.skewed


async def test_a_page_too_large_is_read_in_smaller_ones(jira):
    """The source asks for fewer records at once, without a wait."""
    acme = await jira.add_site("acme")
    for number in range(20):
        acme.add_record(created=1_700_000_000_000 + number, fields={"summary": "x" * 1_000})
    limits = JiraCloudLimits(request=RequestLimits(max_bytes=6_000))
    window = TimeRange(1_700_000_000_000, 1_700_000_001_000)
    async with jira_clients(jira, limits=limits) as found, asyncio.timeout(60):
        results = [result async for result in found.source_for(acme).read(window)]

    assert [event["created"] - window.start for result in results for event in result.events] == list(
        range(20)
    )


async def test_a_single_record_above_the_size_limit_is_a_failure_that_waits(jira):
    """A page of one record cannot be smaller, so a retry without a wait would be a tight loop."""
    acme = await jira.add_site("acme")
    acme.add_record(created=1_700_000_000_000, fields={"summary": "x" * 10_000})
    limits = JiraCloudLimits(request=RequestLimits(max_bytes=6_000))
    window = TimeRange(1_700_000_000_000, 1_700_000_001_000)
    async with jira_clients(jira, limits=limits) as found, asyncio.timeout(60):
        with pytest.raises(SourceError) as raised:
            await anext(found.source_for(acme).read(window))

    assert (raised.value.kind, raised.value.action) == (ErrorKind.BROKEN_ANSWER, RetryAction.RETRY)
    assert raised.value.retry_seconds > 0

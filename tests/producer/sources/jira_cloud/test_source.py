import asyncio
import itertools
import time

import httpx
import pytest

from producer.sources import throttle
from producer.sources.errors import Kind
from producer.sources.jira_cloud import source as sites
from producer.sources.jira_cloud.pager import Ask
from producer.sources.jira_cloud.source import RefusedError, Sites
from producer.state.intervals import Range
from relay.credentials.url_policy import AllowedHosts
from relay.organizations import Organization
from relay.timestamps import now_ms
from simulators import faults
from simulators.jira_cloud import faults as jira_faults
from simulators.jira_cloud.world import JiraWorld
from tests.support.jira import Keys, asking

TENANT = "_edge/tenant_info"


@pytest.fixture
async def jira():
    async with JiraWorld(seed=8) as world:
        yield world


@pytest.fixture
async def asked(jira):
    async with asking(jira) as found:
        yield found


@pytest.fixture
def hasty(monkeypatch):
    """Waits of tenths of a second in the place of minutes."""
    monkeypatch.setattr(sites, "REFUSED_LOGIN_SECONDS", 1.0)
    monkeypatch.setattr(sites, "FIRST_SECONDS", dict.fromkeys(sites.FIRST_SECONDS, 0.6))
    monkeypatch.setattr(sites, "LOOK_FOR_NEW_KEY_SECONDS", 0.05)


def ask():
    return Ask(0, 1_900_000_000_000, 0, 1000)


async def kinds(*awaitables):
    """What each was refused for; None: it was not."""
    found = await asyncio.gather(*awaitables, return_exceptions=True)
    return [one.failure.kind if isinstance(one, RefusedError) else None for one in found]


@pytest.mark.usefixtures("hasty")
async def test_a_refused_key_is_tried_once_for_all_who_wait(jira, asked):
    """Three who ask at the same time make one failed login, not three on the way to a CAPTCHA."""
    acme = await jira.add_site("acme")
    asked.keys.keys["acme"] = "wrong"
    site = asked.of(acme)
    began = time.monotonic()
    waiting = [asyncio.create_task(site.page(ask())) for _ in range(3)]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.sleep(0.3)

    assert time.monotonic() - began < 0.5
    assert len(acme.requests()) == 1
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)


@pytest.mark.usefixtures("hasty")
async def test_a_refused_key_is_not_tried_again_by_the_next_poller(jira, asked):
    """Nor after a fault of Kafka's, when all pollers of a shard begin anew; a modified organization is tried at once."""
    acme = await jira.add_site("acme")
    asked.keys.keys["acme"] = "wrong"
    assert await kinds(asked.of(acme).page(ask())) == [Kind.KEY_REFUSED]
    again = asyncio.create_task(asked.of(acme).page(ask()))
    await asyncio.sleep(0.2)
    assert len(acme.requests()) == 1
    await kinds(asked.of(acme, interval_seconds=5).page(ask()))

    assert len(acme.requests()) == 2
    again.cancel()
    await asyncio.wait({again})


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("first", ["wrong", None])
async def test_a_new_key_ends_the_wait(jira, asked, monkeypatch, first):
    """Whether it was refused or was not there at all."""
    monkeypatch.setattr(sites, "REFUSED_LOGIN_SECONDS", 60.0)
    monkeypatch.setattr(sites, "FIRST_SECONDS", dict.fromkeys(sites.FIRST_SECONDS, 60.0))
    acme = await jira.add_site("acme")
    asked.organization(acme)
    asked.keys.keys["acme"] = first
    site = asked.of(acme)
    assert await kinds(site.page(ask())) != [None]
    waiting = asyncio.create_task(site.page(ask()))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    asked.keys.keys["acme"] = acme.token

    assert (await asyncio.wait_for(waiting, 5)).records == ()


@pytest.mark.usefixtures("hasty")
async def test_a_key_that_comes_while_another_is_being_refused_ends_the_wait(jira, asked, monkeypatch):
    """The refusal is of the one that was sent."""
    monkeypatch.setattr(sites, "REFUSED_LOGIN_SECONDS", 60.0)
    acme = await jira.add_site("acme")
    asked.organization(acme)
    asked.keys.keys["acme"] = "wrong"
    site = asked.of(acme)
    acme.fault(faults.delayed(0.5), times=1)
    refused = asyncio.create_task(kinds(site.page(ask())))
    await asyncio.sleep(0.25)
    asked.keys.keys["acme"] = acme.token
    assert await refused != [None]

    assert (await asyncio.wait_for(site.page(ask()), 5)).records == ()


@pytest.mark.parametrize(
    "url", ["https://evil.example", "http://acme.atlassian.net", "https://169.254.169.254", "garbage"]
)
async def test_a_host_that_is_not_ours_is_asked_nothing(url):
    """Not even which site it is, though that needs no key: whoever may write the topic cannot make us knock anywhere."""
    asked = []
    now = now_ms()

    async with httpx.AsyncClient(transport=httpx.MockTransport(asked.append)) as client:
        known = Sites([client], Keys(), AllowedHosts("https://api.atlassian.com"), now_ms)
        site = known.of(Organization("acme", url, "relay", now, now, 1))
        assert await kinds(site.introduce(None)) == [Kind.NO_KEY]
    assert asked == []


@pytest.mark.parametrize("as_date", [False, True], ids=["seconds", "date"])
async def test_a_site_that_wants_rest_gets_it_from_all(jira, asked, as_date):
    """Also from a poller that begins anew, and from the question who it is."""
    acme = await jira.add_site("acme")
    acme.fault(jira_faults.rate_limited(1, as_date=as_date), times=1)
    assert await kinds(asked.of(acme).page(ask())) == [Kind.RATE_LIMITED]
    anew = asked.of(acme, interval_seconds=5)
    await asyncio.gather(anew.introduce(None), anew.page(ask()), anew.page(ask()))

    assert acme.too_early() == []
    assert len(acme.requests(TENANT)) == 1


async def test_one_site_is_asked_one_thing_at_a_time(jira, asked):
    """Whoever asks, its requests do not overlap."""
    acme = await jira.add_site("acme")
    acme.fault(faults.delayed(0.05), rate=1.0)
    site = asked.of(acme)
    await asyncio.gather(*(site.page(ask(), patient=bool(number % 2)) for number in range(6)))
    seen = sorted(acme.requests(), key=lambda one: one.at)

    assert len(seen) == 6
    assert all(one.ended <= after.at for one, after in itertools.pairwise(seen))


async def test_one_site_that_hangs_holds_up_no_other(jira, asked):
    """A request without an answer keeps its own site waiting only."""
    acme, globex = await jira.add_site("acme"), await jira.add_site("globex")
    acme.fault(faults.hang(), rate=1.0)
    hanging = [asyncio.create_task(asked.of(acme).page(ask())) for _ in range(20)]
    await asyncio.sleep(0.1)
    async with asyncio.timeout(2):
        await asked.of(globex).page(ask())
    for task in hanging:
        task.cancel()
    await asyncio.wait(hanging)


async def test_those_who_can_wait_leave_lines_to_the_others(jira, asked, monkeypatch):
    """However many read history, the lines of live polling are not theirs."""
    monkeypatch.setattr(throttle, "LINES", 3)
    monkeypatch.setattr(throttle, "PATIENT_LINES", 2)
    asked.sites._lines = sites.Lines()
    slow = [await jira.add_site(f"slow{number}") for number in range(6)]
    for one in slow:
        one.fault(faults.delayed(0.5), rate=1.0)
    history = [asyncio.create_task(asked.of(one).page(ask(), patient=True)) for one in slow]
    await asyncio.sleep(0.1)
    quick = await jira.add_site("quick")
    began = time.monotonic()
    await asked.of(quick).page(ask())

    assert time.monotonic() - began < 0.3
    await asyncio.gather(*history)


@pytest.mark.parametrize("trouble", ["refused", "resting"])
async def test_sites_that_are_left_alone_take_no_line_from_others(jira, asked, monkeypatch, trouble):
    """However many keys are refused, and however long sites want rest: who reads history elsewhere goes on."""
    monkeypatch.setattr(throttle, "PATIENT_LINES", 1)
    asked.sites._lines = sites.Lines()
    acme, globex = await jira.add_site("acme"), await jira.add_site("globex")
    if trouble == "refused":
        asked.keys.keys["acme"] = "wrong"
    else:
        acme.fault(jira_faults.rate_limited(60), times=1)
    assert await kinds(asked.of(acme).page(ask())) != [None]
    waiting = asyncio.create_task(asked.of(acme).page(ask(), patient=True))
    await asyncio.sleep(0.1)
    async with asyncio.timeout(10):
        await asked.of(globex).page(ask(), patient=True)

    assert not waiting.done()
    waiting.cancel()
    await asyncio.wait({waiting})


@pytest.mark.usefixtures("hasty")
async def test_another_site_behind_the_same_url_is_refused(jira, asked):
    """By the id the organization was added with, and by the one its progress is bound to."""
    acme = await jira.add_site("acme")
    bound, added = asked.of(acme), asked.of(acme, cloud_id="another")

    assert await kinds(bound.introduce("another"), added.introduce(None)) == [Kind.OTHER_SITE] * 2
    assert await kinds(asked.of(acme, interval_seconds=7).introduce(acme.cloud_id)) == [None]


@pytest.mark.usefixtures("hasty")
async def test_a_name_that_was_given_to_another_site_is_refused(jira, asked):
    """Deleted and added again with another URL: what is known under the name belongs to the first site."""
    acme = await jira.add_site("acme")
    added_again = asked.of(acme, cloud_id=acme.cloud_id)

    assert await kinds(added_again.introduce("the first one's")) == [Kind.OTHER_SITE]


async def test_through_the_gateway_nobody_asks_who_it_is(jira, asked):
    """The site's id is part of the address; its own host need not be reachable."""
    acme = await jira.add_site("acme")
    asked.keys.keys["acme"] = acme.scoped_token
    site = asked.of(acme, gateway=True, cloud_id=acme.cloud_id)
    await acme.shut()
    await site.introduce(acme.cloud_id)

    assert (await site.page(ask())).records == ()


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("fault", [jira_faults.unavailable(), faults.answer(404)], ids=lambda one: one.name)
async def test_the_way_through_the_gateway_is_asked_for_until_it_is_known(jira, asked, fault):
    """However long the site does not tell: an organization that was added untested goes on by itself when it does."""
    acme = await jira.add_site("acme")
    acme.fault(fault, times=sites.MOST_UNANSWERED + 1, path=TENANT)
    asked.keys.keys["acme"] = acme.scoped_token
    site = asked.of(acme, gateway=True)
    for _ in range(sites.MOST_UNANSWERED + 1):
        assert await kinds(site.introduce(None)) != [None]
    await site.introduce(None)

    assert (await site.page(ask())).records == ()


@pytest.mark.usefixtures("hasty")
async def test_a_site_that_does_not_answer_is_not_believed_at_once(jira, asked):
    """A moment's trouble at the first contact must not leave the organization unbound."""
    acme = await jira.add_site("acme")
    acme.fault(jira_faults.unavailable(), times=2, path=TENANT)
    site = asked.of(acme)

    assert await kinds(site.introduce(None)) == [Kind.UNAVAILABLE]
    assert await kinds(site.introduce(None)) == [Kind.UNAVAILABLE]
    assert await kinds(site.introduce(None)) == [None]
    assert site.cloud_id == acme.cloud_id


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    "fault", [faults.answer(404), faults.answer(500), jira_faults.html()], ids=lambda one: one.name
)
async def test_a_site_that_never_tells_who_it_is_is_polled_all_the_same(jira, asked, fault):
    """Not all that speak Jira's API know that question."""
    acme = await jira.add_site("acme")
    acme.fault(fault, rate=1.0, path=TENANT)
    site = asked.of(acme)
    for _ in range(sites.MOST_UNANSWERED):
        await kinds(site.introduce(None))
    await site.introduce(None)

    assert site.cloud_id is None
    assert (await site.page(ask())).records == ()


@pytest.mark.usefixtures("hasty")
async def test_an_empty_answer_is_proven_or_refused(jira, asked):
    """By a record of another time, or where there is none by knowing us; a record within the window contradicts it."""
    acme = await jira.add_site("acme")
    site = asked.of(acme)
    await site.prove_alive(Range(0, 1_000))
    record = acme.happen(created=1_700_000_000_000)
    await site.prove_alive(Range(0, 1_000))

    assert record["id"]
    assert await kinds(site.prove_alive(Range(0, 1_800_000_000_000))) == [Kind.BROKEN_ANSWER]


async def test_the_clock_is_learned_from_every_answer(jira, asked):
    """Being ahead of Jira's by ten minutes is seen from one sign of life."""
    acme = await jira.add_site("acme")
    acme.manners.clock_skew_seconds = -600
    site = asked.of(acme)
    await site.meet()

    assert 597_000 < site.clock.ahead < 601_000
    assert site.clock.skewed

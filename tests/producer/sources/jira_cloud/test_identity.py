"""The identity of a site: bound once, and another is refused."""

import pytest

from producer.sources.errors import ErrorKind
from producer.sources.jira_cloud.window_reader import JiraCloudLimits
from simulators import faults
from simulators.jira_cloud import faults as jira_faults
from tests.support.jira import error_kinds, page_request

TENANT = "_edge/tenant_info"


async def test_another_site_behind_the_same_url_is_refused(jira, hasty):
    """The site must match the id given at adding and the id its progress is bound to."""
    acme = await jira.add_site("acme")
    bound, added = hasty.source_for(acme), hasty.source_for(acme, cloud_id="another")

    assert (
        await error_kinds(bound.bind_identity("another"), added.bind_identity(None))
        == [ErrorKind.OTHER_SITE] * 2
    )
    assert await error_kinds(hasty.source_for(acme, interval_seconds=7).bind_identity(acme.cloud_id)) == [
        None
    ]


async def test_a_name_given_to_another_site_is_refused(jira, hasty):
    """Progress under a name belongs to its first site, also after deleting and adding."""
    acme = await jira.add_site("acme")
    added_again = hasty.source_for(acme, cloud_id=acme.cloud_id)

    assert await error_kinds(added_again.bind_identity("the first one's")) == [ErrorKind.OTHER_SITE]


async def test_through_the_gateway_no_identity_is_asked_for(jira, jira_fixture):
    """The address holds the site's id, so its own host need not be reachable."""
    acme = await jira.add_site("acme")
    jira_fixture.credentials.keys["acme"] = acme.scoped_token
    source = jira_fixture.source_for(acme, gateway=True, cloud_id=acme.cloud_id)
    await acme.stop()
    await source.bind_identity(acme.cloud_id)

    assert (await source.fetch_page(page_request())).records == ()


@pytest.mark.parametrize(
    "fault", [jira_faults.unavailable(), faults.respond_with(404)], ids=lambda one: one.name
)
async def test_the_gateway_address_is_asked_for_until_it_is_known(jira, hasty, fault):
    """An organization added untested starts by itself once its site reports its id."""
    acme = await jira.add_site("acme")
    acme.fault(fault, times=JiraCloudLimits().identity_attempts + 1, path=TENANT)
    hasty.credentials.keys["acme"] = acme.scoped_token
    source = hasty.source_for(acme, gateway=True)
    for _ in range(JiraCloudLimits().identity_attempts + 1):
        assert await error_kinds(source.bind_identity(None)) != [None]
    await source.bind_identity(None)

    assert (await source.fetch_page(page_request())).records == ()


async def test_a_silent_site_is_asked_for_its_identity_again(jira, hasty):
    """A short fault at the first contact does not leave the organization unbound."""
    acme = await jira.add_site("acme")
    acme.fault(jira_faults.unavailable(), times=2, path=TENANT)
    source = hasty.source_for(acme)

    assert await error_kinds(source.bind_identity(None)) == [ErrorKind.UNAVAILABLE]
    assert await error_kinds(source.bind_identity(None)) == [ErrorKind.UNAVAILABLE]
    assert await error_kinds(source.bind_identity(None)) == [None]
    assert source.identity == acme.cloud_id


@pytest.mark.parametrize(
    "fault",
    [faults.respond_with(404), faults.respond_with(500), jira_faults.html()],
    ids=lambda one: one.name,
)
async def test_a_site_that_never_reports_its_identity_is_polled(jira, hasty, fault):
    """Some peers that speak Jira's API do not know that request."""
    acme = await jira.add_site("acme")
    acme.fault(fault, rate=1.0, path=TENANT)
    source = hasty.source_for(acme)
    for _ in range(JiraCloudLimits().identity_attempts):
        await error_kinds(source.bind_identity(None))
    await source.bind_identity(None)

    assert source.identity is None
    assert (await source.fetch_page(page_request())).records == ()

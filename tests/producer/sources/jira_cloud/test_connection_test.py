"""The test of a connection, at the site and at the gateway."""

import pytest

from producer.sources.errors import ErrorKind
from producer.sources.jira_cloud.connection_test import run_connection_test
from simulators import faults
from simulators.jira_cloud import faults as jira_faults
from tests.support.jira_endpoints import hosts


async def connection_result(client, site, key=None, url=None):
    return await run_connection_test(
        client, "acme", url or site.url, site.user, key or site.token, hosts(site)
    )


async def test_a_working_connection_returns_its_endpoint(client, site):
    """An unscoped key works at the site, a scoped one at the gateway; both give the site's id."""
    site.add_record()
    for key, gateway in ((site.token, False), (site.scoped_token, True)):
        found = await connection_result(client, site, key)
        assert (found.failure, found.gateway, found.cloud_id) == (None, gateway, site.cloud_id)
        assert ("gateway" in found.message) == gateway


async def test_an_empty_log_is_accepted_with_a_known_account(client, site):
    """A site without records is valid when Jira knows the account."""
    assert (await connection_result(client, site)).failure is None
    assert len(site.requests("myself")) == 1
    assert (await connection_result(client, site, site.scoped_token)).failure is None


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
async def test_a_refused_key_gives_its_reason(client, site, make, kind):
    """A wrong key, missing rights and missing scopes differ, with one failed login at most."""
    found = await connection_result(client, site, make(site))
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
        (faults.respond_with(404, "<html>"), "", ErrorKind.NOT_THE_API),
        (jira_faults.html(), "", ErrorKind.NOT_THE_API),
        (jira_faults.html(), "record", ErrorKind.BROKEN_ANSWER),
        (jira_faults.anonymous(), "record", ErrorKind.ANONYMOUS),
    ],
)
async def test_an_unusable_site_gives_its_reason(client, site, fault, path, kind):
    """The result names the obstacle once, by its cause."""
    site.fault(fault, times=3, path=path)
    found = await connection_result(client, site)
    assert (found.failure.kind, found.gateway) == (kind, False)


@pytest.mark.parametrize("fault", [jira_faults.html(), faults.respond_with(404)], ids=lambda one: one.name)
async def test_a_site_without_an_identity_is_usable(client, site, fault):
    """Some peers that speak Jira's API do not know that request."""
    site.fault(fault, times=1, path="tenant")
    found = await connection_result(client, site)
    assert (found.failure, found.cloud_id) == (None, None)


async def test_an_unreachable_site_gets_no_key(client, site):
    """The check reports a silent host before it sends a key."""
    await site.stop()
    assert (await connection_result(client, site)).failure.kind is ErrorKind.UNREACHABLE

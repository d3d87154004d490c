import httpx
import pytest

from simulators.jira_cloud.world import JiraWorld
from tests.support.jira_client import RECORDS, get_ids, open_client, running_site

AUTHENTICATE = "Client must be authenticated to access this resource."


def gateway_client(site, token, user=None):
    return open_client(site, token=token, user=user, base_url=f"{site.gateway_root}/ex/jira/{site.cloud_id}")


async def test_each_token_is_valid_at_its_own_endpoint():
    """Unscoped tokens serve at the site, scoped ones at the gateway, neither at the other's."""
    async with running_site() as (site, client):
        record = site.add_record()["id"]
        assert await get_ids(client) == [record]
        async with gateway_client(site, site.scoped_token) as scoped:
            assert await get_ids(scoped) == [record]
        async with open_client(site, token=site.scoped_token) as wrong:
            refused = await wrong.get(RECORDS)
            assert (refused.status_code, refused.text) == (401, AUTHENTICATE)
            assert refused.headers["content-type"].startswith("text/plain")
            assert refused.headers["x-seraph-loginreason"] == "AUTHENTICATED_FAILED"
        async with gateway_client(site, site.token) as wrong:
            refused = await wrong.get(RECORDS)
            assert (refused.status_code, refused.json()) == (401, {"code": 401, "message": "Unauthorized"})


async def test_a_service_account_may_send_its_token_as_bearer_at_the_gateway():
    """At the site the same header is taken for an app's."""
    async with running_site() as (site, client):
        robot = site.add_token("robot@serviceaccount.example", scopes=["manage:jira-configuration"])
        headers = {"Authorization": f"Bearer {robot}"}
        async with httpx.AsyncClient(headers=headers) as bearer:
            assert (await bearer.get(f"{site.gateway_url}{RECORDS}")).status_code == 200
            refused = await bearer.get(f"{client.base_url}{RECORDS}")
            assert refused.status_code == 403
            assert refused.json() == {"error": "Failed to parse Connect Session Auth Token"}
        assert site.requests()[0].user == "robot@serviceaccount.example"


@pytest.mark.parametrize(
    ("scopes", "audit", "myself"),
    [
        (["manage:jira-configuration"], 200, 401),
        (["read:audit-log:jira", "read:user:jira"], 200, 401),
        (["read:audit-log:jira"], 401, 401),
        (["read:jira-user", "manage:jira-configuration"], 200, 200),
    ],
)
async def test_scopes_must_match(scopes, audit, myself):
    """A missing scope is a 401 that says so, endpoint by endpoint."""
    async with running_site() as (site, _), gateway_client(site, site.add_token(scopes=scopes)) as client:
        answers = [await client.get(RECORDS), await client.get("/rest/api/3/myself")]
        assert [answer.status_code for answer in answers] == [audit, myself]
        for answer in answers:
            if answer.status_code == 401:
                assert answer.json() == {"code": 401, "message": "Unauthorized; scope does not match"}


@pytest.mark.parametrize(
    "header", [None, "Basic !!!", "Basic /w==", "Digest x", "Basic cmVsYXlAYWNtZS5leGFtcGxlOg=="]
)
async def test_what_is_no_credential_is_refused_at_both_endpoints(header):
    """No header, an unreadable one, an unknown scheme, an empty token: 401."""
    async with (
        running_site() as (site, _),
        httpx.AsyncClient(headers={"Authorization": header} if header else {}) as anyone,
    ):
        for base in (site.url, site.gateway_url):
            assert (await anyone.get(base + RECORDS)).status_code == 401
        assert [one.user for one in site.request_log] == [None, None]


async def test_the_token_must_be_the_users():
    """Another user's name with a valid token opens nothing."""
    async with running_site() as (site, _):
        async with open_client(site, user="mallory@acme.example") as other:
            assert (await other.get(RECORDS)).status_code == 401
        async with gateway_client(site, site.scoped_token, user="mallory@acme.example") as other:
            assert (await other.get(RECORDS)).status_code == 401


async def test_a_token_can_be_rotated_and_revoked_while_the_site_runs():
    """The old token dies at once, the new one serves."""
    async with running_site() as (site, client):
        old_scoped = site.scoped_token
        site.rotate_tokens()
        assert (await client.get(RECORDS)).status_code == 401
        async with open_client(site) as renewed, gateway_client(site, old_scoped) as dead:
            assert (await renewed.get(RECORDS)).status_code == 200
            assert (await dead.get(RECORDS)).status_code == 401
            site.access.revoke(site.token)
            assert (await renewed.get(RECORDS)).status_code == 401


async def test_the_two_reasons_of_a_403_differ_in_their_words():
    """Not an administrator, and a site whose products are all on Free plans."""
    async with (
        running_site() as (site, client),
        open_client(site, token=site.add_token(administrator=False)) as user,
    ):
        refused = await user.get(RECORDS)
        assert (refused.status_code, "permission" in refused.text) == (403, True)
        assert (await user.get("/rest/api/3/myself")).json()["emailAddress"] == site.user
        site.quirks.free_plan = True
        refused = await client.get(RECORDS)
        assert (refused.status_code, "Free plans" in refused.json()["errorMessages"][0]) == (403, True)


async def test_too_many_failures_end_in_a_captcha():
    """From then on not even the right token is looked at, until somebody logs in with a browser."""
    async with running_site() as (site, client):
        site.access.captcha_after_failures = 3
        async with open_client(site, token="wrong") as wrong:
            assert [(await wrong.get(RECORDS)).status_code for _ in range(4)] == [401, 401, 401, 403]
        denied = await client.get(RECORDS)
        assert denied.status_code == 403
        assert denied.headers["x-seraph-loginreason"] == "AUTHENTICATION_DENIED"
        site.access.clear_captcha()
        assert (await client.get(RECORDS)).status_code == 200


async def test_a_dead_token_may_be_answered_with_nothing():
    """200, no records, and a header that tells."""
    async with running_site() as (site, _), open_client(site, token="dead") as client:
        site.add_record()
        site.quirks.anonymous_when_refused = True
        empty = await client.get(RECORDS)
        assert (empty.status_code, empty.json()["records"]) == (200, [])
        assert empty.headers["x-seraph-loginreason"] == "AUTHENTICATED_FAILED"
        assert (await client.get("/rest/api/3/myself")).status_code == 401


async def test_anyone_may_ask_which_site_it_is():
    """tenant_info and serverInfo need no credential; what does not exist is a 404."""
    async with JiraWorld(seed=1) as jira, httpx.AsyncClient() as anyone:
        sites = [await jira.add_site("acme"), await jira.add_site("globex", cloud_id="1-2-3")]
        clouds = [(await anyone.get(f"{site.url}/_edge/tenant_info")).json()["cloudId"] for site in sites]
        assert clouds == [sites[0].cloud_id, "1-2-3"]
        info = (await anyone.get(f"{sites[0].url}/rest/api/3/serverInfo")).json()
        assert (info["baseUrl"], info["deploymentType"]) == (sites[0].url, "Cloud")
        for url in (
            f"{sites[0].url}/rest/api/3/nothing",
            f"{jira.gateway_url}/ex/jira/9{RECORDS}",
            jira.gateway_url,
        ):
            assert (await anyone.get(url)).status_code == 404
        assert (await anyone.post(sites[0].url + RECORDS)).status_code == 405


async def test_no_token_is_ever_remembered():
    """The history of requests holds who asked, not with what."""
    async with running_site() as (site, client):
        await client.get(RECORDS)
        async with gateway_client(site, site.scoped_token) as scoped:
            await scoped.get(RECORDS)
        assert [one.user for one in site.request_log] == [site.user] * 2
        assert site.token not in repr(site.request_log)
        assert site.scoped_token not in repr(site.request_log)

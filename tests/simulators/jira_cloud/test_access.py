import httpx
import pytest

from simulators.jira_cloud.world import JiraWorld
from tests.support.jira_client import RECORDS, get_ids, open_client, running_site

AUTHENTICATE = "Client must be authenticated to access this resource."


def gateway_client(site, token, user=None):
    return open_client(site, token=token, user=user, base_url=f"{site.gateway_root}/ex/jira/{site.cloud_id}")


async def test_each_token_is_valid_at_its_own_endpoint():
    """The site accepts unscoped tokens, the gateway scoped ones, and each refuses the others."""
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
    """The gateway accepts a scoped token as Bearer; the site takes the header for that of an app."""
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
    """Each endpoint requires its scopes, and names a mismatch in its 401."""
    async with running_site() as (site, _), gateway_client(site, site.add_token(scopes=scopes)) as client:
        answers = [await client.get(RECORDS), await client.get("/rest/api/3/myself")]
        assert [answer.status_code for answer in answers] == [audit, myself]
        for answer in answers:
            if answer.status_code == 401:
                assert answer.json() == {"code": 401, "message": "Unauthorized; scope does not match"}


@pytest.mark.parametrize(
    "header", [None, "Basic !!!", "Basic /w==", "Digest x", "Basic cmVsYXlAYWNtZS5leGFtcGxlOg=="]
)
async def test_a_header_without_a_credential_is_refused(header):
    """Site and gateway answer 401 to a missing or unreadable header, an unknown scheme and an empty token."""
    async with (
        running_site() as (site, _),
        httpx.AsyncClient(headers={"Authorization": header} if header else {}) as anyone,
    ):
        for base in (site.url, site.gateway_url):
            assert (await anyone.get(base + RECORDS)).status_code == 401
        assert [one.user for one in site.request_log] == [None, None]


async def test_a_token_is_valid_for_its_user_alone():
    """Site and gateway refuse a valid token with another user's name."""
    async with running_site() as (site, _):
        async with open_client(site, user="mallory@acme.example") as other:
            assert (await other.get(RECORDS)).status_code == 401
        async with gateway_client(site, site.scoped_token, user="mallory@acme.example") as other:
            assert (await other.get(RECORDS)).status_code == 401


async def test_a_token_can_be_rotated_and_revoked_while_the_site_runs():
    """After a rotation the new token is valid and the old one is refused; a revoked one is refused too."""
    async with running_site() as (site, client):
        old_scoped = site.scoped_token
        site.rotate_tokens()
        assert (await client.get(RECORDS)).status_code == 401
        async with open_client(site) as renewed, gateway_client(site, old_scoped) as dead:
            assert (await renewed.get(RECORDS)).status_code == 200
            assert (await dead.get(RECORDS)).status_code == 401
            site.access.revoke(site.token)
            assert (await renewed.get(RECORDS)).status_code == 401


async def test_each_reason_of_a_403_has_its_own_text():
    """A user who is not an administrator and a site on the Free plan get different messages."""
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


async def test_too_many_failed_logins_require_a_captcha():
    """After the last allowed failure even the right token is refused, until a login with a browser."""
    async with running_site() as (site, client):
        site.access.captcha_after_failures = 3
        async with open_client(site, token="wrong") as wrong:
            assert [(await wrong.get(RECORDS)).status_code for _ in range(4)] == [401, 401, 401, 403]
        denied = await client.get(RECORDS)
        assert denied.status_code == 403
        assert denied.headers["x-seraph-loginreason"] == "AUTHENTICATION_DENIED"
        site.access.clear_captcha()
        assert (await client.get(RECORDS)).status_code == 200


async def test_a_revoked_token_may_get_an_empty_page():
    """With the quirk, a wrong token gets a 200 without records, and a header about the failed login."""
    async with running_site() as (site, _), open_client(site, token="dead") as client:
        site.add_record()
        site.quirks.anonymous_when_refused = True
        empty = await client.get(RECORDS)
        assert (empty.status_code, empty.json()["records"]) == (200, [])
        assert empty.headers["x-seraph-loginreason"] == "AUTHENTICATED_FAILED"
        assert (await client.get("/rest/api/3/myself")).status_code == 401


async def test_site_information_needs_no_credential():
    """tenant_info and serverInfo are public, an unknown path is a 404, and another method a 405."""
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


async def test_the_request_log_has_no_token():
    """The log of requests has the user of each request, and no token."""
    async with running_site() as (site, client):
        await client.get(RECORDS)
        async with gateway_client(site, site.scoped_token) as scoped:
            await scoped.get(RECORDS)
        assert [one.user for one in site.request_log] == [site.user] * 2
        assert site.token not in repr(site.request_log)
        assert site.scoped_token not in repr(site.request_log)

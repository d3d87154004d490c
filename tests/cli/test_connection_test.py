"""The connection test of `add` and `modify`: its errors, the gateway, references, and Jira's clock."""

import pytest

from relay.timestamps import DAY_MS, now_ms, parse_iso
from simulators import faults
from simulators.jira_cloud import faults as jira_faults


@pytest.mark.parametrize("hours", [-5, 5])
@pytest.mark.parametrize("key", ["given", "not available here"])
async def test_an_organization_is_added_by_jiras_clock(command_line, acme, hours, key):
    """A wrong clock of the operator's machine turns no backfill into live events, and leaves no gap between them."""
    acme.quirks.clock_skew_seconds = hours * 3_600
    if key == "given":
        await command_line.add(acme, "--backfill-days", "3")
    else:
        reference = ("--api-key-ref", "file:elsewhere", "--name", "acme", "--backfill-days", "3")
        await command_line("organizations", "add", "--url", acme.url, "--user", acme.user, *reference)
    shown = (await command_line("organizations", "show", "acme", "--json")).json

    assert abs(parse_iso(shown["added"]).ms - hours * 3_600_000 - now_ms()) < 600_000
    assert parse_iso(shown["added"]).ms - parse_iso(shown["backfill_from"]).ms == 3 * DAY_MS


async def test_a_scoped_key_is_recognized_and_goes_through_the_gateway(command_line, acme):
    """A scoped key is added for the gateway, and from then on tested there alone."""
    added = await command_line.add(acme, key=acme.scoped_token)
    assert "gateway" in added.out
    assert (await command_line.list_organizations())["acme"]["gateway"] is True

    logins = len([request for request in acme.requests() if request.status == 401])
    await command_line("organizations", "test", "acme")
    assert len([request for request in acme.requests() if request.status == 401]) == logins


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (jira_faults.not_administrator(), "Administer Jira"),
        (jira_faults.free_plan(), "Free plan"),
        (jira_faults.captcha(), "CAPTCHA"),
        (jira_faults.rate_limited(30), "429"),
        (jira_faults.unavailable(), "503"),
        (jira_faults.html(), "login page"),
        (faults.reset(), "cut"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
async def test_a_failed_connection_test_adds_nothing(command_line, acme, fault, words):
    """The error names the cause and promises no repetition, and no organization is added."""
    acme.fault(fault, rate=1)
    refused = await command_line.add(acme, code=1)

    assert words in refused.err
    assert not [promise for promise in ("asked again", "repeated") if promise in refused.err]
    assert len(refused.err.splitlines()) == 1
    assert await command_line.list_organizations() == {}


async def test_a_wrong_key_and_a_wrong_host_are_named(command_line, acme):
    """A wrong key, an unknown host, a host without Jira and a host that is down have different errors."""
    assert "refuses user and API key" in (await command_line.add(acme, key="ATATT-wrong", code=1)).err

    async def at(url, code=1):
        given = ("--url", url, "--user", acme.user, "--api-key-file", "-")
        return (await command_line("organizations", "add", *given, key=acme.token, code=code)).err

    command_line.set_environment(RELAY_PRODUCER__ALLOWED_HOSTS='["no-such-site.invalid"]')
    assert "unknown to DNS" in await at("https://no-such-site.invalid")
    acme.fault(jira_faults.html(), rate=1, path="")
    assert "No Jira answers" in await at(acme.url)
    await acme.stop()
    assert "cannot be reached" in await at(acme.url)


async def test_a_reference_is_used_where_it_can_be_resolved(command_line, acme):
    """The key behind a reference is tested; where this machine cannot resolve it, only the site is tested."""
    given = ("organizations", "add", "--url", acme.url, "--user", acme.user, "--name", "acme")
    command_line.set_environment(RELAY_KEY_WRONG="ATATT-wrong", RELAY_KEY_ACME=acme.token)
    assert "refuses" in (await command_line(*given, "--api-key-ref", "env:RELAY_KEY_WRONG", code=1)).err
    assert "at the site itself" in (await command_line(*given, "--api-key-ref", "env:RELAY_KEY_ACME")).out

    elsewhere = await command_line(
        "organizations", "modify", "acme", "--api-key-ref", "env:RELAY_KEY_ELSEWHERE"
    )
    assert "Only the site was tested" in elsewhere.out
    shown = (await command_line.list_organizations())["acme"]
    assert (shown["credential"], shown["cloud_id"]) == ("env:RELAY_KEY_ELSEWHERE", acme.cloud_id)
    assert "RELAY_KEY_ELSEWHERE" in (await command_line("organizations", "test", "acme", code=1)).err

"""`jira-relay organizations modify`: which fields change, and which change is refused."""

from simulators.faults import Fault


async def test_modify_keeps_the_other_fields(command_line, acme):
    """Only the given fields change, the changes are printed, and the same command again changes nothing."""
    await command_line.add(acme, "--backfill-days", "3", "--key-expires", "2999-12-31")
    before = (await command_line.list_organizations())["acme"]
    result = await command_line("organizations", "modify", "acme", "--interval-seconds", "5")
    after = (await command_line.list_organizations())["acme"]

    assert "interval_seconds: none → 5" in result.out
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"interval_seconds", "modified", "revision"}
    again = await command_line(
        "organizations", "modify", "acme", "--interval-seconds", "5", "--backfill-days", "3"
    )
    assert "unchanged" in again.out
    assert (await command_line.list_organizations())["acme"]["revision"] == after["revision"]

    await command_line(
        *("organizations", "modify", "acme", "--interval-seconds", "0"),
        *("--key-expires", "never", "--backfill-days", "0"),
    )
    cleared = (await command_line.list_organizations())["acme"]
    assert [cleared[name] for name in ("interval_seconds", "credential_expires", "backfill_from")] == [
        None
    ] * 3
    assert "No change was requested" in (await command_line("organizations", "modify", "acme", code=2)).err


async def test_another_url_or_user_needs_the_key_again(command_line, simulated_jira, acme):
    """A key is never used for another user or host than it was given for, and another site is refused."""
    await command_line.add(acme)
    other = acme.add_token(user="other@acme.example")
    modify = ("organizations", "modify", "acme")

    assert "give it again" in (await command_line(*modify, "--user", "other@acme.example", code=2)).err
    with_key = (*modify, "--api-key-file", "-")
    await command_line(*with_key, "--user", "other@acme.example", key=other)
    await command_line("organizations", "test", "acme")

    moved = await simulated_jira.add_site("moved", cloud_id=acme.cloud_id)
    assert "give it again" in (await command_line(*modify, "--url", moved.url, code=2)).err
    await command_line(*with_key, "--url", moved.url, "--user", moved.user, key=moved.token)
    stranger = await simulated_jira.add_site("stranger")
    refused = await command_line(
        *with_key, "--url", stranger.url, "--user", stranger.user, key=stranger.token, code=1
    )
    assert "another site than before" in refused.err
    assert (await command_line.list_organizations())["acme"]["url"] == moved.url


async def test_a_key_that_does_not_work_changes_nothing(command_line, acme):
    """A new key is tested before it is stored, unless --no-test is given."""
    await command_line.add(acme)
    modify = ("organizations", "modify", "acme", "--api-key-file", "-")
    assert "refuses" in (await command_line(*modify, key="ATATT-wrong", code=1)).err
    await command_line("organizations", "test", "acme")

    assert "not tested" in (await command_line(*modify, "--no-test", key="ATATT-wrong")).out
    assert "refuses" in (await command_line("organizations", "test", "acme", code=1)).err


async def test_a_concurrent_change_is_not_overwritten(command_line, acme):
    """A pause by another operator during the connection test makes the modification fail, and the pause stays."""
    await command_line.add(acme)

    async def pause_first(_request, serve_normally):
        await command_line("organizations", "pause", "acme")
        return await serve_normally()

    acme.fault(Fault("another operator", pause_first))
    modify = ("organizations", "modify", "acme", "--api-key-file", "-", "--interval-seconds", "7")
    assert "Another operator changed acme" in (await command_line(*modify, key=acme.token, code=1)).err
    stored = (await command_line.list_organizations())["acme"]
    assert (stored["state"], stored["interval_seconds"]) == ("paused", None)

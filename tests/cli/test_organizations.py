"""`jira-relay organizations`: from `add` to `delete`, and the list."""

from dataclasses import replace

import pytest

from producer.state.checkpoint import new_checkpoint
from producer.state.intervals import TimeRange
from relay.avro.codec import InternalCodec
from relay.kafka.producer import RecordWriter
from relay.kafka.topics import Topics, partition_of
from relay.timestamps import DAY_MS, now_ms, parse_iso
from tests.support.organizations import put_status, read_change_log


async def test_every_change_has_a_document(command_line, acme):
    """With `--json` each command that changes an organization prints its name and the action."""
    added = (await command_line.add(acme, "--json")).json
    assert (added["name"], added["what"]) == ("acme", "added")
    assert any("at the site itself" in remark for remark in added["remarks"])
    tested = (await command_line("organizations", "test", "acme", "--json")).json
    assert "at the site itself" in tested["message"]
    for arguments, what in (
        (("modify", "acme", "--interval-seconds", "30"), "modified"),
        (("pause", "acme"), "paused"),
        (("resume", "acme"), "resumed"),
        (("delete", "acme"), "deleted"),
    ):
        assert (await command_line("organizations", *arguments, "--json")).json["what"] == what


async def test_an_organization_is_added_shown_and_deleted(command_line, acme, connection):
    """From `add` to `delete` each change is in the history without the key, and the progress is kept."""
    options = ("--interval-seconds", "30", "--backfill-days", "3", "--key-expires", "2999-12-31")
    before = now_ms()
    added = await command_line.add(acme, *options)
    shown = (await command_line("organizations", "show", "acme", "--json")).json

    assert "added" in added.out
    assert "at the site itself" in added.out
    assert (shown["url"], shown["user"], shown["credential"]) == (acme.url, acme.user, "encrypted")
    assert (shown["cloud_id"], shown["gateway"], shown["interval_seconds"]) == (acme.cloud_id, False, 30)
    assert before - 3 * DAY_MS <= parse_iso(shown["backfill_from"]).ms <= now_ms() - 3 * DAY_MS
    assert shown["credential_expires"] == "2999-12-31T00:00:00.000Z"

    deleted = await command_line("organizations", "delete", "acme")
    assert "progress are kept" in deleted.out
    assert await command_line.list_organizations() == {}
    changes = await read_change_log(connection)
    assert [change["what"] for change in changes] == ["added", "deleted"]
    assert changes[1]["before"] == changes[0]["after"]
    assert acme.token not in str(changes)


async def test_the_name_is_the_host_unless_one_is_given(command_line, acme):
    """Without --name an organization has the host and port of its URL as its name."""
    await command_line(
        *("organizations", "add", "--url", f"{acme.url}/", "--user", acme.user, "--api-key-file", "-"),
        key=acme.token + "\n",
    )

    assert list(await command_line.list_organizations()) == [acme.url.removeprefix("http://")]


async def test_the_same_site_or_name_twice_is_refused(command_line, simulated_jira, acme):
    """A site is recognized by its cloud id, and a site, a URL and a name belong to one organization."""
    await command_line.add(acme)
    alias = await simulated_jira.add_site("alias", cloud_id=acme.cloud_id)

    assert "is already polled as acme" in (await command_line.add(alias, code=1)).err
    assert "is already polled as acme" in (await command_line.add(acme, "--name", "other", code=1)).err
    refused = (await command_line.add(acme, code=1)).err
    assert "The organization acme already exists" in refused
    assert "--name" not in refused  # another name is not a remedy: the site is polled already
    assert "--name" in (await command_line.add(alias, "--name", "acme", code=1)).err
    assert list(await command_line.list_organizations()) == ["acme"]


async def test_pause_and_resume_change_the_state(command_line, acme):
    """Pausing and resuming change the state, and the second time nothing."""
    await command_line.add(acme)
    for verb, state, what in (("pause", "paused", "paused"), ("resume", "active", "resumed")):
        assert what in (await command_line("organizations", verb, "acme")).out
        assert (await command_line.list_organizations())["acme"]["state"] == state
        assert "unchanged" in (await command_line("organizations", verb, "acme")).out


@pytest.mark.parametrize("verb", ["show", "test", "pause", "resume", "delete"])
async def test_an_unknown_organization_is_refused(command_line, verb):
    """Every command refuses an organization that does not exist."""
    assert (
        "The organization nobody does not exist"
        in (await command_line("organizations", verb, "nobody", code=1)).err
    )


async def test_the_list_shows_the_state_in_words(command_line, acme, connection):
    """The state is taken from the status topic, and an expired status means that no producer polls."""
    await command_line.add(acme)

    async def state():
        return (await command_line.list_organizations())["acme"]["state_in_words"]

    assert await state() == "no owner: no producer has reported on it yet"
    await put_status(connection, "acme", last_event=1_790_000_000_000, complete_up_to=1_790_000_060_000)
    assert await state() == "active"
    line = (await command_line("organizations", "list")).out.splitlines()[1]
    assert line.split()[:4] == ["acme", acme.url, "2026-09-21T14:13:20Z", "2026-09-21T14:14:20Z"]

    await put_status(connection, "acme", state="failing", reason="acme: \x1b[2Jit refuses.\nBadly")
    assert (await state()).startswith("failing since 2")
    assert "it refuses" in await state()
    plain = (await command_line("organizations", "list")).out
    assert len(plain.splitlines()) == 2
    assert "\x1b" not in plain
    await put_status(connection, "acme", state="waiting", reason="429", waiting_until=1_790_000_000_000)
    assert await state() == "waiting until 2026-09-21T14:13:20Z: 429"
    await put_status(connection, "acme", valid_ms=-1)
    assert (await state()).startswith("no owner: no producer has reported on it since 2")
    await command_line("organizations", "pause", "acme")
    assert await state() == "paused"


async def test_the_list_shows_one_state_alone(command_line, acme, simulated_jira):
    """--state shows the organizations in this state, as lines and as a document."""
    await command_line.add(acme)
    await command_line.add(await simulated_jira.add_site("beta"))
    await command_line("organizations", "pause", "beta")

    paused = await command_line("organizations", "list", "--state", "paused", "--json")
    assert [one["name"] for one in paused.json] == ["beta"]
    unowned = (await command_line("organizations", "list", "--state", "no-owner")).out.splitlines()
    assert [line.split()[0] for line in unowned] == ["NAME", "acme"]
    assert (await command_line("organizations", "list", "--state", "failing")).out == ""
    await command_line("organizations", "list", "--state", "asleep", code=2)


async def test_show_tells_a_finished_backfill_from_none(command_line, acme, connection):
    """The backfill is not requested, not started, running or finished, as the checkpoint of the producer says."""
    await command_line.add(acme)

    async def backfill():
        lines = (await command_line("organizations", "show", "acme")).out.splitlines()
        return next(line for line in lines if line.startswith("backfill  ")).split(maxsplit=1)[1]

    assert await backfill() == "not requested"
    await command_line("organizations", "modify", "acme", "--backfill-days", "3")
    assert (await backfill()).startswith("not started")
    added = parse_iso((await command_line.list_organizations())["acme"]["added"]).ms
    await put_checkpoint(connection, "acme", added, ())
    assert (await backfill()).startswith("not started")
    await put_checkpoint(connection, "acme", added, (TimeRange(added - DAY_MS, added),))
    assert (await backfill()).startswith("running: has reached ")
    await put_checkpoint(connection, "acme", added, (TimeRange(added - 3 * DAY_MS, added),))
    assert (await backfill()).startswith("finished")


async def put_checkpoint(connection, name, live_since, backfilled):
    """Write the checkpoint of an organization as its producer does, before more records than one step reads."""
    record = replace(new_checkpoint(name, live_since, now=live_since), backfilled=backfilled).to_record()
    topic, partition = Topics(connection.kafka.topic_prefix).progress, partition_of(name, 2)
    async with RecordWriter(connection) as writer:
        await writer.send(
            topic, name.encode(), InternalCodec("checkpoint").encode(record), partition=partition
        )
        for number in range(250):
            await writer.send(topic, f"{name}/{number}".encode(), b"a ledger", partition=partition)


async def test_an_unreadable_status_is_a_warning(command_line, acme, connection):
    """An unreadable status is a warning on standard error, and the document is complete."""
    await command_line.add(acme)
    async with RecordWriter(connection) as writer:
        await writer.send(Topics(connection.kafka.topic_prefix).status, b"producer/acme", b"\x00garbage")

    result = await command_line("organizations", "list", "--json")
    assert result.json[0]["status"] is None
    assert "could not be read" in result.err

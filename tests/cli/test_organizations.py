"""`jira-relay organizations`, against a real Kafka and simulated Jira."""

from datetime import datetime

import pytest

from relay.avro.codec import InternalCodec
from relay.kafka import TopicPartition
from relay.kafka.log_reader import read_to_end, stable_bounds, standalone_consumer
from relay.kafka.producer import RecordWriter
from relay.kafka.topics import Topics
from relay.status.model import take_over, to_record
from relay.timestamps import now_ms
from simulators import faults
from simulators.faults import Fault
from simulators.jira_cloud import faults as jira_faults

DAY_MS = 86_400_000


def parse_ms(text):
    return int(datetime.fromisoformat(text).timestamp() * 1000)


async def read_history(connection):
    """What stands on the changes topic."""
    tp = TopicPartition(Topics(connection.kafka.topic_prefix).changes, 0)
    changes = []
    async with standalone_consumer(connection) as reader:
        span = (await stable_bounds(reader, [tp]))[tp]
        await read_to_end(
            reader,
            {tp: span.log_start_offset},
            {tp: span.last_stable_offset},
            lambda record: changes.append(InternalCodec("change").decode(record.value)),
        )
    return changes


async def put_status(connection, name, **fields):
    """As a producer would tell of an organization."""
    status = take_over(fields.pop("state", "active"), now_ms(), reason=fields.pop("reason", None))
    record = to_record(status.valid_for(fields.pop("valid_ms", 60_000))) | fields
    async with RecordWriter(connection) as writer:
        topic = Topics(connection.kafka.topic_prefix).status
        await writer.send(topic, f"producer/{name}".encode(), InternalCodec("status").encode(record))


async def test_every_change_can_be_told_as_a_document(command_line, acme):
    """With `--json` each command that changes something says what was done to which organization."""
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
    """From `add` to `delete`, each change stands in the history without the key, and progress is said to be kept."""
    options = ("--interval-seconds", "30", "--backfill-days", "3", "--key-expires", "2999-12-31")
    before = now_ms()
    added = await command_line.add(acme, *options)
    shown = (await command_line("organizations", "show", "acme", "--json")).json

    assert "added" in added.out
    assert "at the site itself" in added.out
    assert (shown["url"], shown["user"], shown["credential"]) == (acme.url, acme.user, "encrypted")
    assert (shown["cloud_id"], shown["gateway"], shown["interval_seconds"]) == (acme.cloud_id, False, 30)
    assert before - 3 * DAY_MS <= parse_ms(shown["backfill_from"]) <= now_ms() - 3 * DAY_MS
    assert shown["credential_expires"] == "2999-12-31T00:00:00.000Z"

    deleted = await command_line("organizations", "delete", "acme")
    assert "progress are kept" in deleted.out
    assert await command_line.list_organizations() == {}
    changes = await read_history(connection)
    assert [change["what"] for change in changes] == ["added", "deleted"]
    assert changes[1]["before"] == changes[0]["after"]
    assert acme.token not in str(changes)


@pytest.mark.parametrize("hours", [-5, 5])
@pytest.mark.parametrize("key", ["given", "not to be had here"])
async def test_an_organization_is_added_by_jiras_clock(command_line, acme, hours, key):
    """An operator's clock that is hours wrong makes no history live, and leaves nothing between history and live."""
    acme.quirks.clock_skew_seconds = hours * 3_600
    if key == "given":
        await command_line.add(acme, "--backfill-days", "3")
    else:
        reference = ("--api-key-ref", "file:elsewhere", "--name", "acme", "--backfill-days", "3")
        await command_line("organizations", "add", "--url", acme.url, "--user", acme.user, *reference)
    shown = (await command_line("organizations", "show", "acme", "--json")).json

    assert abs(parse_ms(shown["added"]) - hours * 3_600_000 - now_ms()) < 20_000
    assert parse_ms(shown["added"]) - parse_ms(shown["backfill_from"]) == 3 * DAY_MS


async def test_the_name_is_the_host_unless_one_is_given(command_line, acme):
    """Without --name an organization is called by the host and port of its URL."""
    await command_line(
        *("organizations", "add", "--url", f"{acme.url}/", "--user", acme.user, "--api-key-file", "-"),
        key=acme.token + "\n",
    )

    assert list(await command_line.list_organizations()) == [acme.url.removeprefix("http://")]


async def test_a_scoped_key_is_recognized_and_goes_through_the_gateway(command_line, acme):
    """A scoped key at the site's host is no failure: it is added for the gateway, and tried only there from then on."""
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
        (jira_faults.html(), "Jira"),
        (faults.reset(), "cut"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
async def test_what_is_wrong_is_named_and_nothing_is_added(command_line, acme, fault, words):
    """The cause is named, nobody is promised that it will be tried again, and nothing is added."""
    acme.fault(fault, rate=1)
    refused = await command_line.add(acme, code=1)

    assert words in refused.err
    assert "repeated" not in refused.err
    assert len(refused.err.splitlines()) == 1
    assert await command_line.list_organizations() == {}


async def test_a_wrong_key_and_a_wrong_host_are_named(command_line, acme):
    """A wrong key, a host that does not exist, one that refuses, and one that is no Jira are told apart."""
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


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--url", "acme.atlassian.net"), "must begin with https://"),
        (("--url", "http://acme.atlassian.net"), "plain http"),
        (("--url", "https://acme.atlassian.net/jira"), "a path behind its host"),
        (("--url", "https://jira.example.com"), "producer.allowed_hosts"),
        (("--url", "https://relay:hunter2-secret@acme.atlassian.net"), "leave them out"),
        (("--url", "https://\udcff.atlassian.net"), "URL"),
        (("--user", "relay@acme.example:hunter2-secret"), "e-mail address"),
        (("--user", ""), "e-mail address"),
        (("--name", "two words"), "space"),
        (("--name", "line\nbreak"), "control"),
        (("--name", "\udcff"), "control"),
        (("--name", "n" * 250), "249"),
        (("--backfill-days", "181"), "180"),
        (("--backfill-days", "-1"), "180"),
        (("--interval-seconds", "86401"), "86400"),
        (("--key-expires", "next year"), "2026-12-31"),
        (("--api-key-ref", "env:RELAY_KEY_A"), "keep one"),
    ],
)
async def test_wrong_input_ends_with_2_and_one_sentence(command_line_without_kafka, options, words):
    """What cannot be is refused before anybody is asked; passwords in wrong places are not repeated."""
    given = {"--url": "https://acme.atlassian.net", "--user": "relay@acme.example", "--api-key-file": "-"}
    given |= dict([options])
    refused = await command_line_without_kafka(
        "organizations", "add", *[text for pair in given.items() for text in pair], key="k" * 20, code=2
    )

    assert words in refused.err
    assert "hunter2" not in refused.output
    assert len(refused.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        (b"", "empty"),
        (b" \n", "empty"),
        (b"a\nb", "one line"),
        (b"\xff\xfe", "not text"),
    ],
)
async def test_a_key_file_that_holds_no_key_is_refused(command_line_without_kafka, tmp_path, content, words):
    """Whatever is wrong with the key's file is said; its name is not repeated, for it may be the key itself."""
    path = tmp_path / "ATATT-misplaced"
    if content is not None:
        path.write_bytes(content)
    refused = await command_line_without_kafka(
        *(
            "organizations",
            "add",
            "--url",
            "https://acme.atlassian.net",
            "--user",
            "relay@acme.example",
            "--api-key-file",
            path,
        ),
        code=2,
    )

    assert words in refused.err
    assert "misplaced" not in refused.output


async def test_the_key_cannot_be_an_argument_or_absent(command_line_without_kafka):
    """There is no option for the key itself, and one of the two others is needed."""
    given = ("organizations", "add", "--url", "https://acme.atlassian.net", "--user", "relay@acme.example")
    refused = await command_line_without_kafka(*given, "--api-key", "hunter2-secret", code=2)
    assert "hunter2" not in refused.output
    assert "--api-key-file FILE" in (await command_line_without_kafka(*given, code=2)).err
    assert (
        "env:RELAY_KEY_"
        in (await command_line_without_kafka(*given, "--api-key-ref", "hunter2-secret", code=2)).err
    )


async def test_the_same_site_or_name_twice_is_refused(command_line, simulated_jira, acme):
    """A site is known by its cloud id, whatever it is called; a name and a URL stand for one organization."""
    await command_line.add(acme)
    alias = await simulated_jira.add_site("alias", cloud_id=acme.cloud_id)

    assert "followed already, as acme" in (await command_line.add(alias, code=1)).err
    assert "followed already, as acme" in (await command_line.add(acme, "--name", "other", code=1)).err
    assert "There is an organization acme already" in (await command_line.add(acme, code=1)).err
    assert list(await command_line.list_organizations()) == ["acme"]


async def test_modify_keeps_what_is_not_given(command_line, acme):
    """Only what is said changes, and what changed is told; the same again changes nothing."""
    await command_line.add(acme, "--backfill-days", "3", "--key-expires", "2999-12-31")
    before = (await command_line.list_organizations())["acme"]
    told = await command_line("organizations", "modify", "acme", "--interval-seconds", "5")
    after = (await command_line.list_organizations())["acme"]

    assert "interval_seconds: none → 5" in told.out
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
    assert "Nothing is to be changed" in (await command_line("organizations", "modify", "acme", code=2)).err


async def test_another_url_or_user_asks_for_the_key_again(command_line, simulated_jira, acme):
    """A key is never used for another user or host than it was given for, and another site is another organization."""
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
    assert "another Jira site" in refused.err
    assert (await command_line.list_organizations())["acme"]["url"] == moved.url


async def test_a_key_that_does_not_work_changes_nothing(command_line, acme):
    """A modification is tested first, and only --no-test does without."""
    await command_line.add(acme)
    modify = ("organizations", "modify", "acme", "--api-key-file", "-")
    assert "refuses" in (await command_line(*modify, key="ATATT-wrong", code=1)).err
    await command_line("organizations", "test", "acme")

    assert "not tested" in (await command_line(*modify, "--no-test", key="ATATT-wrong")).out
    assert "refuses" in (await command_line("organizations", "test", "acme", code=1)).err


async def test_pause_keeps_the_place_and_resume_goes_on(command_line, acme):
    """Pausing and resuming change the state alone, and do nothing twice."""
    await command_line.add(acme)
    for verb, state, what in (("pause", "paused", "paused"), ("resume", "active", "resumed")):
        assert what in (await command_line("organizations", verb, "acme")).out
        assert (await command_line.list_organizations())["acme"]["state"] == state
        assert "unchanged" in (await command_line("organizations", verb, "acme")).out


@pytest.mark.parametrize("verb", ["show", "test", "pause", "resume", "delete"])
async def test_an_unknown_organization_is_said_to_be_unknown(command_line, verb):
    """Nothing is done to an organization that does not exist."""
    assert (
        "There is no organization nobody" in (await command_line("organizations", verb, "nobody", code=1)).err
    )


async def test_a_reference_is_used_where_it_can_be_resolved(command_line, acme):
    """The key behind a reference is tested with; where this machine cannot see it, only the site is looked for."""
    given = ("organizations", "add", "--url", acme.url, "--user", acme.user, "--name", "acme")
    command_line.set_environment(RELAY_KEY_WRONG="ATATT-wrong", RELAY_KEY_ACME=acme.token)
    assert "refuses" in (await command_line(*given, "--api-key-ref", "env:RELAY_KEY_WRONG", code=1)).err
    assert "at the site itself" in (await command_line(*given, "--api-key-ref", "env:RELAY_KEY_ACME")).out

    elsewhere = await command_line(
        "organizations", "modify", "acme", "--api-key-ref", "env:RELAY_KEY_ELSEWHERE"
    )
    assert "Not tested with the key" in elsewhere.out
    shown = (await command_line.list_organizations())["acme"]
    assert (shown["credential"], shown["cloud_id"]) == ("env:RELAY_KEY_ELSEWHERE", acme.cloud_id)
    assert "RELAY_KEY_ELSEWHERE" in (await command_line("organizations", "test", "acme", code=1)).err


async def test_without_a_key_to_encrypt_with_only_references_are_taken(command_line, acme, monkeypatch):
    """With an outside Kafka and no secrets, the error says how to make a key; a reference needs none."""
    monkeypatch.delenv("RELAY_SECRETS__KEY_FILE")
    assert "openssl rand" in (await command_line.add(acme, code=2)).err

    command_line.set_environment(RELAY_KEY_ACME=acme.token)
    given = ("--url", acme.url, "--user", acme.user, "--api-key-ref", "env:RELAY_KEY_ACME")
    await command_line("organizations", "add", *given)


async def test_a_status_that_cannot_be_read_costs_only_itself(command_line, acme, connection):
    """Garbage on the status topic is a warning on standard error; the document stays one document."""
    await command_line.add(acme)
    async with RecordWriter(connection) as writer:
        await writer.send(Topics(connection.kafka.topic_prefix).status, b"producer/acme", b"\x00garbage")

    result = await command_line("organizations", "list", "--json")
    assert result.json[0]["status"] is None
    assert "cannot be read" in result.err


async def test_a_change_of_somebody_else_meanwhile_is_not_overwritten(command_line, acme):
    """While a modification is tested, another operator pauses: the modification is refused, the pause stays."""
    await command_line.add(acme)

    async def pause_first(_request, serve_normally):
        await command_line("organizations", "pause", "acme")
        return await serve_normally()

    acme.fault(Fault("somebody else", pause_first))
    modify = ("organizations", "modify", "acme", "--api-key-file", "-", "--interval-seconds", "7")
    assert "somebody else" in (await command_line(*modify, key=acme.token, code=1)).err
    stored = (await command_line.list_organizations())["acme"]
    assert (stored["state"], stored["interval_seconds"]) == ("paused", None)


async def test_list_tells_the_state_in_words(command_line, acme, connection):
    """Who polls it and how that goes is told from the status topic; a record past its time says that nobody does."""
    await command_line.add(acme)

    async def state():
        return (await command_line.list_organizations())["acme"]["state_in_words"]

    assert await state() == "no owner: no producer has told of it yet"
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
    assert (await state()).startswith("no owner: nobody polls it since 2")
    await command_line("organizations", "pause", "acme")
    assert await state() == "paused"

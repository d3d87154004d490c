"""`jira-relay organizations apply`: the organizations as a file says."""

import json

import pytest


def organization_entry(site, **members):
    return {
        "name": site.name,
        "url": site.url,
        "user": site.user,
        "api_key_file": f"{site.name}.key",
    } | members


@pytest.fixture
async def beta(simulated_jira):
    return await simulated_jira.add_site("beta")


@pytest.fixture
def organizations_file(tmp_path, acme, beta):
    """Writes the file, in a directory of its own with the keys beside it."""
    directory = tmp_path / "organizations"
    directory.mkdir()
    for site in (acme, beta):
        (directory / f"{site.name}.key").write_text(f"{site.token}\n")

    def write(document, name="all.json"):
        path = directory / name
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return path

    return write


async def test_again_nothing_changes(command_line, acme, beta, organizations_file):
    """What is missing is added, what differs is changed and told, and the same file again changes nothing."""
    file = organizations_file(
        [
            organization_entry(acme, backfill_days=3, key_expires="2999-12-31"),
            organization_entry(beta, state="paused"),
        ]
    )
    first = await command_line("organizations", "apply", file)
    assert [line for line in first.out.splitlines() if not line.startswith(" ")] == [
        "acme: added.",
        "beta: added.",
    ]
    stored = await command_line.list_organizations()
    assert (stored["acme"]["state"], stored["beta"]["state"]) == ("active", "paused")

    assert (await command_line("organizations", "apply", file)).out == "acme: unchanged.\nbeta: unchanged.\n"
    assert await command_line.list_organizations() == stored

    await command_line("organizations", "resume", "beta")
    file = organizations_file(
        [organization_entry(acme, backfill_days=3, interval_seconds=9), organization_entry(beta)]
    )
    changed = (await command_line("organizations", "apply", file)).out
    assert "interval_seconds: none → 9" in changed
    assert "credential_expires: 2999-12-31T00:00:00Z → none" in changed
    assert "beta: unchanged." in changed
    assert (await command_line.list_organizations())["beta"]["state"] == "active"


async def test_toml_is_understood_and_others_are_left_alone(command_line, acme, beta, organizations_file):
    """TOML with its own dates works as JSON does; an organization that the file does not name stays as it is."""
    await command_line.add(beta)
    before = (await command_line.list_organizations())["beta"]
    file = organizations_file(
        f'[[organizations]]\nurl = "{acme.url}"\nname = "acme"\nuser = "{acme.user}"\napi_key_file = "acme.key"\n'
        "key_expires = 2999-12-31\nbackfill_days = 1\n",
        "all.toml",
    )
    await command_line("organizations", "apply", file)

    stored = await command_line.list_organizations()
    assert stored["acme"]["credential_expires"] == "2999-12-31T00:00:00.000Z"
    assert stored["beta"] == before


async def test_what_was_done_and_what_was_not_is_one_document(command_line, acme, beta, organizations_file):
    """With `--json` there is a list of all that the file names, each done or with its error, and the exit code is 1."""
    file = organizations_file([organization_entry(acme), organization_entry(beta, url="http://127.0.0.1:1")])
    done, failed = (await command_line("organizations", "apply", file, "--json", code=1)).json
    assert (done["name"], done["what"]) == ("acme", "added")
    assert (failed["name"], "127.0.0.1:1" in failed["error"]) == ("beta", True)


async def test_a_rotated_key_is_noticed(command_line, acme, organizations_file):
    """A file that holds another key than before is a change; one that holds the same is none."""
    file = organizations_file([organization_entry(acme)])
    await command_line("organizations", "apply", file)
    (file.parent / "acme.key").write_text(acme.rotate_tokens())

    assert "credential: a new one" in (await command_line("organizations", "apply", file)).out
    await command_line("organizations", "test", "acme")


async def test_one_that_fails_holds_up_no_other(command_line, acme, beta, organizations_file):
    """An organization whose key is wrong is told on standard error, the others are done, and the exit code is 1."""
    file = organizations_file([organization_entry(acme), organization_entry(beta)])
    (file.parent / "acme.key").write_text("ATATT-wrong")
    result = await command_line("organizations", "apply", file, code=1)

    assert result.err.startswith("acme: not done.")
    assert "beta: added." in result.out
    assert list(await command_line.list_organizations()) == ["beta"]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("", "names no organization"),
        ("[]", "names no organization"),
        ("[{", "not valid JSON"),
        ('{"organizations": [}', "not valid JSON"),
        ("organizations = ", "not valid TOML"),
        ("[" * 100_000, "not valid"),
        ('{"other": []}', "must hold organizations"),
        ('{"organizations": 3}', "must hold organizations"),
        ("[[organizations]]", "url is missing"),
        ('{"organizations": [3]}', "must be a table"),
        ([{"url": "https://a.atlassian.net"}], "user is missing"),
        ([{"url": "http://a.atlassian.net", "user": "u"}], "plain http"),
        ([{"url": "https://u:hunter2-secret@a.atlassian.net", "user": "u"}], "remove them"),
        ([{"url": "https://a.atlassian.net", "user": 3}], "user must be a text"),
        ([{"url": "https://a.atlassian.net", "user": "u", "interval_seconds": True}], "whole number"),
        (
            [{"url": "https://a.atlassian.net", "user": "u", "interval_second": 3}],
            "did you mean interval_seconds",
        ),
        (
            [{"url": "https://a.atlassian.net", "user": "u", "api_key": "hunter2-secret"}],
            "did you mean api_key",
        ),
        ([{"url": "https://a.atlassian.net", "user": "u", "key_expires": "soon"}], "2026-12-31"),
        ([{"url": "https://a.atlassian.net", "user": "u", "state": "asleep"}], "active or paused"),
        ([{"url": "https://a.atlassian.net", "user": "u", "api_key_file": "hunter2"}], "cannot be read"),
        ([{"url": "https://a.atlassian.net", "user": "u", "api_key_file": "-"}], "path of a file"),
        ([{"url": "https://a.atlassian.net", "user": "u"}] * 2, "more than once"),
        ([{"url": "https://a.atlassian.net", "user": "u\ud800"}], "e-mail address"),
    ],
)
async def test_a_file_that_cannot_be_is_refused_whole(
    command_line_without_kafka, organizations_file, document, words
):
    """Wrong files end with 2 and a sentence for each fault, before anything is done; what could be a secret is not shown."""
    file = organizations_file(document)
    refused = await command_line_without_kafka("organizations", "apply", file, code=2)

    assert words in refused.err
    assert "hunter2" not in refused.output
    assert len(refused.err.splitlines()) == 1


async def test_every_fault_of_a_file_is_told(command_line, organizations_file, acme):
    """Two faults are two sentences, each with the place of its organization; nothing else is done."""
    wrong = [
        organization_entry(acme),
        organization_entry(acme, name="b", url="ftp://x"),
        organization_entry(acme, name="c", backfill_days=999),
    ]
    refused = await command_line("organizations", "apply", organizations_file(wrong), code=2)

    assert [", organization 2: " in refused.err, ", organization 3: c: " in refused.err] == [True, True]
    assert await command_line.list_organizations() == {}


async def test_a_file_that_cannot_be_read_is_said(command_line_without_kafka, tmp_path):
    """A missing file, a directory and bytes that are no text are told apart, without a traceback."""
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    for name, words in (("missing", "No such file"), (".", "directory"), ("bytes", "not UTF-8")):
        assert (
            words in (await command_line_without_kafka("organizations", "apply", tmp_path / name, code=2)).err
        )
    assert (
        "names no organization"
        in (await command_line_without_kafka("organizations", "apply", "-", code=2)).err
    )

"""`jira-relay organizations apply`: organizations from a file."""

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
def organizations_file(tmp_path, acme, beta):
    """Return a function that writes the file, in a directory with the key files."""
    directory = tmp_path / "organizations"
    directory.mkdir()
    for site in (acme, beta):
        (directory / f"{site.name}.key").write_text(f"{site.token}\n")

    def write(document, name="all.json"):
        path = directory / name
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return path

    return write


async def test_applying_a_file_twice_changes_nothing(command_line, acme, beta, organizations_file):
    """Missing organizations are added, differences are changed and printed, and the same file again changes nothing."""
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
        "2 organizations: 2 added.",
    ]
    stored = await command_line.list_organizations()
    assert (stored["acme"]["state"], stored["beta"]["state"]) == ("active", "paused")

    assert (
        await command_line("organizations", "apply", file)
    ).out == "acme: unchanged.\nbeta: unchanged.\n2 organizations: 2 unchanged.\n"
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


async def test_a_reset_is_reported(command_line, acme, organizations_file):
    """Each member that the file leaves out and that had a value is named, and no other; the file applied again names none."""
    await command_line("organizations", "apply", organizations_file([organization_entry(acme)]))
    options = ("--interval-seconds", "30", "--key-expires", "2999-12-31")
    await command_line("organizations", "modify", "acme", *options)
    file = organizations_file([organization_entry(acme, interval_seconds=30)])

    applied = (await command_line("organizations", "apply", file)).out
    assert "Reset to the default, because the file leaves it out: key_expires." in applied
    assert applied.endswith("1 organization: 1 modified.\n")
    assert "Reset" not in (await command_line("organizations", "apply", file)).out


async def test_a_dry_run_changes_nothing(command_line, acme, beta, organizations_file):
    """A dry run reports additions, differences, resets and refusals, sends no request to Jira, and changes nothing."""
    await command_line.add(acme, "--key-expires", "2999-12-31")
    before, requests = await command_line.list_organizations(), len(acme.requests() + beta.requests())
    entries = [
        organization_entry(acme, interval_seconds=9),
        organization_entry(beta),
        organization_entry(beta, name="gamma", url=acme.url),
    ]
    arguments = ("organizations", "apply", organizations_file(entries), "--dry-run")
    result = await command_line(*arguments, code=1)

    assert [line for line in result.out.splitlines() if not line.startswith(" ")] == [
        "acme: would be modified.",
        "beta: would be added.",
        "3 organizations: 1 would be modified, 1 would be added, 1 not changed.",
    ]
    assert "interval_seconds: none → 9" in result.out
    assert "Would be reset to the default, because the file leaves it out: key_expires." in result.out
    assert "gamma: not changed." in result.err
    assert await command_line.list_organizations() == before
    assert len(acme.requests() + beta.requests()) == requests
    assert [one.get("what") for one in (await command_line(*arguments, "--json", code=1)).json] == [
        "would be modified",
        "would be added",
        None,
    ]


async def test_toml_works_and_other_organizations_are_not_changed(
    command_line, acme, beta, organizations_file
):
    """A TOML file with a TOML date works like JSON, and an organization that it does not name is not changed."""
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


async def test_results_and_failures_are_one_document(command_line, acme, beta, organizations_file):
    """With `--json` each organization of the file has its result or its error, and a failure ends with 1."""
    file = organizations_file([organization_entry(acme), organization_entry(beta, url="http://127.0.0.1:1")])
    done, failed = (await command_line("organizations", "apply", file, "--json", code=1)).json
    assert (done["name"], done["what"]) == ("acme", "added")
    assert (failed["name"], "127.0.0.1:1" in failed["error"]) == ("beta", True)


async def test_a_rotated_key_is_a_change(command_line, acme, organizations_file):
    """Another key in the key file replaces the stored one."""
    file = organizations_file([organization_entry(acme)])
    await command_line("organizations", "apply", file)
    (file.parent / "acme.key").write_text(acme.rotate_tokens())

    assert "credential: replaced" in (await command_line("organizations", "apply", file)).out
    await command_line("organizations", "test", "acme")


async def test_a_failure_does_not_stop_the_others(command_line, acme, beta, organizations_file):
    """A wrong key is reported on standard error, the other organizations are added, and the exit code is 1."""
    file = organizations_file([organization_entry(acme), organization_entry(beta)])
    (file.parent / "acme.key").write_text("ATATT-wrong")
    result = await command_line("organizations", "apply", file, code=1)

    assert result.err.startswith("acme: not changed.")
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
async def test_an_invalid_file_is_refused_as_a_whole(
    command_line_without_kafka, organizations_file, document, words
):
    """An invalid file ends with 2 before anything is changed, and the error shows nothing that may be a secret."""
    file = organizations_file(document)
    refused = await command_line_without_kafka("organizations", "apply", file, code=2)

    assert words in refused.err
    assert "hunter2" not in refused.output
    assert len(refused.err.splitlines()) == 1


async def test_every_fault_of_a_file_has_a_line(command_line, organizations_file, acme):
    """Two faults give two lines with the number of the organization, and nothing is changed."""
    wrong = [
        organization_entry(acme),
        organization_entry(acme, name="b", url="ftp://x"),
        organization_entry(acme, name="c", backfill_days=999),
    ]
    refused = await command_line("organizations", "apply", organizations_file(wrong), code=2)

    assert [", organization 2: " in refused.err, ", organization 3: c: " in refused.err] == [True, True]
    assert await command_line.list_organizations() == {}


async def test_an_unreadable_file_is_refused(command_line_without_kafka, tmp_path):
    """A missing file, a directory and a binary file each give an error with the reason."""
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    for name, words in (("missing", "No such file"), (".", "directory"), ("bytes", "not UTF-8")):
        assert (
            words in (await command_line_without_kafka("organizations", "apply", tmp_path / name, code=2)).err
        )
    assert (
        "names no organization"
        in (await command_line_without_kafka("organizations", "apply", "-", code=2)).err
    )

"""`jira-relay organizations export`, and `apply --prune`."""

import pytest


@pytest.fixture
async def three(command_line, acme, beta, simulated_jira):
    """Three organizations: with an encrypted key, with a reference and every option, and paused."""
    await command_line.add(acme)
    command_line.set_environment(RELAY_KEY_BETA=beta.token)
    given = ("--url", beta.url, "--user", beta.user, "--name", "beta", "--api-key-ref", "env:RELAY_KEY_BETA")
    options = ("--interval-seconds", "9", "--backfill-days", "3", "--key-expires", "2999-12-31")
    await command_line("organizations", "add", *given, *options)
    await command_line.add(await simulated_jira.add_site("gamma"))
    await command_line("organizations", "pause", "gamma")


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["toml", "json"])
@pytest.mark.usefixtures("three")
async def test_an_export_applied_changes_nothing(command_line, tmp_path, form, acme):
    """The exported file names every value, holds no key, and applied again changes nothing."""
    exported = (await command_line("organizations", "export", *form)).out
    file = tmp_path / "all"
    file.write_text(exported)
    before = await command_line.list_organizations()

    assert acme.token not in exported
    applied = await command_line("organizations", "apply", file, "--prune")
    assert applied.out.endswith("3 organizations: 3 unchanged.\n")
    assert await command_line.list_organizations() == before


@pytest.mark.usefixtures("three")
async def test_an_export_restores_deleted_organizations(command_line, tmp_path):
    """An organization with a reference is the same after delete and apply, but for its time of addition."""
    (tmp_path / "all").write_text((await command_line("organizations", "export")).out)
    before = (await command_line.list_organizations())["beta"]
    await command_line("organizations", "delete", "beta")
    await command_line("organizations", "apply", tmp_path / "all")
    after = (await command_line.list_organizations())["beta"]

    changed = {name for name in before if before[name] != after[name]}
    assert changed <= {"added", "modified", "backfill_from", "revision"}
    exported = {one["name"]: one for one in (await command_line("organizations", "export", "--json")).json}
    assert (exported["beta"]["backfill_days"], exported["beta"]["key_expires"]) == (3, "2999-12-31")
    assert exported["gamma"]["state"] == "paused"


async def test_nothing_is_exported_without_organizations(command_line):
    """An export without organizations is empty, and an empty list in JSON."""
    assert (await command_line("organizations", "export")).out == ""
    assert (await command_line("organizations", "export", "--json")).json == []


@pytest.fixture
def file_of_acme(acme, tmp_path):
    (tmp_path / "acme.key").write_text(acme.token)
    file = tmp_path / "all.toml"
    entry = f'name = "acme"\nurl = "{acme.url}"\nuser = "{acme.user}"\napi_key_file = "acme.key"\n'
    file.write_text(f"[[organizations]]\n{entry}")
    return file


@pytest.mark.usefixtures("three")
async def test_prune_deletes_what_the_file_leaves_out(command_line, file_of_acme):
    """--dry-run names the deletions, without --yes nothing is changed, and with it they are made, once."""
    prune = ("organizations", "apply", file_of_acme, "--prune")
    planned = await command_line(*prune, "--dry-run")
    assert planned.out.endswith("3 organizations: 1 unchanged, 2 would be deleted.\n")
    refused = await command_line(*prune, code=2)
    assert "deletes 2 of the stored organizations: beta, gamma." in refused.err
    assert "--yes" in refused.err
    assert len(await command_line.list_organizations()) == 3

    assert (await command_line(*prune, "--yes")).out.endswith("3 organizations: 1 unchanged, 2 deleted.\n")
    assert list(await command_line.list_organizations()) == ["acme"]
    assert (await command_line(*prune)).out.endswith("1 organization: 1 unchanged.\n")


@pytest.mark.usefixtures("three")
async def test_prune_deletes_nothing_if_a_change_fails(command_line, file_of_acme):
    """Where an entry is refused, the organizations that the file leaves out are kept, and the result says so."""
    file_of_acme.write_text(file_of_acme.read_text() + "interval_seconds = 5\n")
    (file_of_acme.parent / "acme.key").write_text("ATATT-wrong")
    refused = await command_line("organizations", "apply", file_of_acme, "--prune", "--yes", code=1)

    assert "beta: not changed. It was to be deleted, and is kept" in refused.err
    assert len(await command_line.list_organizations()) == 3


@pytest.mark.usefixtures("three")
async def test_without_prune_nothing_is_deleted(command_line, file_of_acme):
    """Organizations that the file does not name are kept."""
    await command_line("organizations", "apply", file_of_acme)
    assert len(await command_line.list_organizations()) == 3


@pytest.mark.parametrize(("typed", "code", "kept"), [("delete 2\n", 0, 1), ("yes\n", 2, 3), ("\n", 2, 3)])
@pytest.mark.usefixtures("three")
async def test_a_deletion_is_typed_on_a_terminal(command_line, file_of_acme, monkeypatch, typed, code, kept):
    """On a terminal the words with the number confirm the deletion, and nothing else does."""
    monkeypatch.setattr("cli.commands.organization_files._is_terminal", lambda: True)
    await command_line("organizations", "apply", file_of_acme, "--prune", typed=typed, code=code)

    assert len(await command_line.list_organizations()) == kept


async def test_show_has_the_backfill_as_a_document(command_line, acme):
    """`show --json` says whether a backfill was requested, and from when."""
    await command_line.add(acme)
    assert (await command_line("organizations", "show", "acme", "--json")).json["backfill"] == {
        "state": "not requested",
        "wanted_from": None,
        "reached": None,
    }
    await command_line("organizations", "modify", "acme", "--backfill-days", "3")
    shown = (await command_line("organizations", "show", "acme", "--json")).json
    assert (shown["backfill"]["state"], shown["backfill"]["wanted_from"]) == (
        "not started",
        shown["backfill_from"],
    )

"""The advice of each refusal about organizations: the command that it names is accepted, and the fault is gone."""

import re
import shlex

import pytest


async def duplicate_url(cli, acme, _beta):
    await cli.add(acme)
    return await cli.add(acme, "--name", "second", code=1), ("--interval-seconds", "9")


async def duplicate_site(cli, acme, _beta):
    await cli.add(acme)
    other = acme.url.replace("127.0.0.1", "localhost")
    given = ("--url", other, "--user", acme.user, "--api-key-file", "-", "--name", "second")
    refused = await cli("organizations", "add", *given, key=acme.token, code=1)
    return refused, ("--interval-seconds", "9")


async def name_taken_by_this_site(cli, acme, _beta):
    await cli.add(acme)
    return await cli.add(acme, code=1), ("--interval-seconds", "9")


async def name_taken_by_a_site_that_moved(cli, acme, _beta):
    await cli.add(acme)
    moved = acme.url.replace("127.0.0.1", "localhost")
    given = ("--url", moved, "--user", acme.user, "--api-key-file", "-", "--name", "acme")
    refused = await cli("organizations", "add", *given, key=acme.token, code=1)
    return refused, ("--url", moved, "--api-key-file", "-")


async def key_without_scopes_flag(cli, acme, _beta):
    given = ("--url", acme.url, "--user", acme.user, "--api-key-file", "-", "--name", "acme", "--no-test")
    await cli("organizations", "add", *given, key=acme.scoped_token)
    return await cli("organizations", "test", "acme", code=1), ()


async def unknown_name(cli, acme, _beta):
    await cli.add(acme)
    return await cli("organizations", "pause", "acmee", code=1), ()


async def nothing_to_modify(cli, acme, _beta):
    await cli.add(acme)
    return await cli("organizations", "modify", "acme", code=2), ()


@pytest.mark.parametrize(
    "refuse",
    [
        duplicate_url,
        duplicate_site,
        name_taken_by_this_site,
        name_taken_by_a_site_that_moved,
        key_without_scopes_flag,
        unknown_name,
        nothing_to_modify,
    ],
    ids=lambda refuse: refuse.__name__,
)
async def test_the_command_that_a_refusal_names_is_accepted(command_line, acme, beta, refuse):
    """The command in the text of the refusal ends with 0, with the options that it leaves to the operator."""
    refused, options = await refuse(command_line, acme, beta)
    command = shlex.split(re.search(r"`jira-relay ([^`]+)`", refused.err)[1].replace("…", ""))

    await command_line(*command, *options, key=acme.token)


async def test_a_name_taken_by_another_site_is_free_under_the_advised_option(command_line, acme, beta):
    """The refusal advises --name, and the same command with another --name is accepted."""
    await command_line.add(acme)
    given = ("--url", beta.url, "--user", beta.user, "--api-key-file", "-", "--name")
    refused = await command_line("organizations", "add", *given, "acme", key=beta.token, code=1)
    assert "another name (--name)" in refused.err

    await command_line("organizations", "add", *given, "another", key=beta.token)


async def test_a_url_of_another_site_is_added_as_the_refusal_says(command_line, acme, beta):
    """The refusal advises a new organization under another name, which is accepted."""
    await command_line.add(acme)
    moved = ("modify", "acme", "--url", beta.url, "--user", beta.user, "--api-key-file", "-")
    refused = await command_line("organizations", *moved, key=beta.token, code=1)
    assert "as a new organization" in refused.err

    await command_line.add(beta)


async def test_a_new_user_is_accepted_with_the_key_that_the_refusal_asks_for(command_line, acme):
    """The refusal asks for the key again, and with it the change is accepted."""
    await command_line.add(acme)
    user = "other@example.com"
    token = acme.add_token(user)
    refused = await command_line("organizations", "modify", "acme", "--user", user, code=2)
    assert "--api-key-file" in refused.err

    await command_line("organizations", "modify", "acme", "--user", user, "--api-key-file", "-", key=token)


async def test_a_host_is_allowed_by_the_setting_that_the_refusal_names(command_line, acme):
    """The refusal names producer.allowed_hosts, and with the host in it the next refusal is another one."""
    given = (
        "organizations",
        "add",
        "--url",
        "https://jira.invalid",
        "--user",
        "u@example.com",
        "--api-key-file",
        "-",
    )
    assert "producer.allowed_hosts" in (await command_line(*given, key=acme.token, code=2)).err

    command_line.set_environment(RELAY_PRODUCER__ALLOWED_HOSTS='["jira.invalid"]')
    assert "unknown to DNS" in (await command_line(*given, key=acme.token, code=1)).err


async def test_a_missing_key_of_the_secrets_is_mended_as_the_refusal_says(command_line, acme, tmp_path):
    """The refusal says how to make the key file, and with such a file the organization is added."""
    command_line.set_environment(RELAY_SECRETS__KEY_FILE="")
    refused = await command_line.add(acme, code=2)
    assert "openssl rand -base64 32" in refused.err

    command_line.set_environment(RELAY_SECRETS__KEY_FILE=tmp_path / "secrets.key")
    await command_line.add(acme)


async def test_a_new_organization_of_a_file_is_added_with_the_member_that_the_refusal_names(
    command_line, acme, tmp_path
):
    """The refusal of an entry without a key names api_key_file, and with it the entry is accepted."""
    entry = f'[[organizations]]\nname = "acme"\nurl = "{acme.url}"\nuser = "{acme.user}"\n'
    (tmp_path / "all.toml").write_text(entry)
    refused = await command_line("organizations", "apply", tmp_path / "all.toml", code=1)
    assert "api_key_file" in refused.err

    (tmp_path / "acme.key").write_text(acme.token)
    (tmp_path / "all.toml").write_text(f'{entry}api_key_file = "acme.key"\n')
    await command_line("organizations", "apply", tmp_path / "all.toml")

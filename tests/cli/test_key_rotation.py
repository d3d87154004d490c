"""What is sealed with the keys of `secrets`: it is good for whom it was given for alone, and older keys can be taken out."""

import base64
import time
from dataclasses import replace

import pytest

from management.organizations.editor import edit_organization
from relay.credentials.keyring import Keyring
from tests.cli.conftest import SECRETS_KEY
from tests.cli.test_organizations import read_history

NEWER_KEY = base64.b64encode(bytes(range(32))).decode()
OLDER_ID, NEWER_ID = Keyring([base64.b64decode(SECRETS_KEY), bytes(range(32))]).ids


@pytest.fixture
async def beta(simulated_jira):
    return await simulated_jira.add_site("beta")


@pytest.fixture
def write_keys(tmp_path):
    """Puts these keys into the key file of `command_line`, in this order."""
    return lambda *keys: (tmp_path / "secrets.key").write_text("\n".join(keys))


async def tamper(connection, name, **fields):
    """As somebody does who may write the topic and has none of our keys."""

    def tampered(before):
        return replace(before, **fields)

    now = time.time_ns() // 1_000_000
    await edit_organization(connection, name, tampered, what="modified", who="eve", now_ms=now)


async def add_by_reference(command_line, site, *more):
    command_line.set_environment(**{f"RELAY_KEY_{site.name.upper()}": site.token})
    given = ("--url", site.url, "--user", site.user, "--name", site.name)
    return await command_line(
        "organizations", "add", *given, "--api-key-ref", f"env:RELAY_KEY_{site.name.upper()}", *more
    )


@pytest.mark.parametrize("paired", ["with the reference", "with the reference and its seal"])
async def test_a_reference_paired_with_another_site_is_refused(command_line, acme, beta, connection, paired):
    """A reference that somebody gave another URL and user on the topic sends no key there, and every command says so."""
    await add_by_reference(command_line, acme)
    stranger = {"url": beta.url, "user": "eve@evil.example"}
    if paired == "with the reference":
        stranger["credential_ciphertext"] = None
    await tamper(connection, "acme", **stranger)

    refused = await command_line("organizations", "test", "acme", code=1)
    assert f"for {beta.url} and the user eve@evil.example, so it is not used" in refused.err
    checked = (await command_line("check", "--json", code=1)).json
    assert [one["ok"] for one in checked if one["subject"] == "organization acme"] == [False]
    moved = await command_line("organizations", "modify", "acme", "--user", "other@evil.example", code=1)
    assert "so it is not used" in moved.err
    assert [one for one in beta.request_log if "tenant_info" not in one.path] == []


async def test_a_reference_moves_with_an_operator(command_line, acme):
    """Another user needs the reference not again: what was bound is bound to the new one, and works."""
    await add_by_reference(command_line, acme)
    command_line.set_environment(RELAY_KEY_ACME=acme.add_token(user="other@acme.example"))
    told = await command_line("organizations", "modify", "acme", "--user", "other@acme.example")

    assert "credential: bound anew" in told.out
    await command_line("organizations", "test", "acme")
    again = ("organizations", "modify", "acme", "--api-key-ref", "env:RELAY_KEY_ACME")
    assert "unchanged" in (await command_line(*again)).out


async def test_a_reference_given_without_keys_is_said_to_be_unbound_and_can_be_mended(
    command_line, acme, connection, monkeypatch
):
    """Where no key is set references work and are said not to be bound; where one is, giving them again or applying a file binds."""
    with monkeypatch.context() as keyless:
        keyless.delenv("RELAY_SECRETS__KEY_FILE")
        assert "is not bound to this URL and user" in (await add_by_reference(command_line, acme)).out
        await command_line("organizations", "test", "acme")
        assert [
            one for one in (await command_line("check", "--json")).json if one["subject"] == "seals"
        ] == []
    assert "so it is not used" in (await command_line("organizations", "test", "acme", code=1)).err
    unsealed = (await command_line("check", "--json", code=1)).json
    assert ["acme: not sealed" in one["message"] for one in unsealed if one["subject"] == "seals"] == [True]
    assert "not done" in (await command_line("organizations", "reseal", code=1)).err

    entry = f'[{{"name": "acme", "url": "{acme.url}", "user": "{acme.user}", "api_key_ref": "env:RELAY_KEY_ACME"}}]'
    assert "bound anew" in (await command_line("organizations", "apply", "-", key=entry)).out
    assert "unchanged" in (await command_line("organizations", "apply", "-", key=entry)).out
    await command_line("organizations", "test", "acme")
    await tamper(connection, "acme", credential_ciphertext=None)
    assert (
        "bound anew"
        in (await command_line("organizations", "modify", "acme", "--api-key-ref", "env:RELAY_KEY_ACME")).out
    )
    await command_line("organizations", "test", "acme")


async def test_keys_are_rotated_step_by_step(command_line, acme, beta, write_keys, connection):
    """A newer key is put in front, what is sealed with the older one is listed, sealed anew by one command, and the older one goes."""
    await command_line.add(acme)
    await add_by_reference(command_line, beta)
    assert await check_seals(command_line) == f"all are of the first key ({OLDER_ID})"

    write_keys(NEWER_KEY, SECRETS_KEY)
    assert (
        (await command_line("organizations", "list"))
        .out.splitlines()[-1]
        .startswith("Not sealed with the first")
    )
    shown = (await command_line("organizations", "show", "beta", "--json")).json
    assert (shown["sealed_with"], shown["sealed_with_first_key"]) == (OLDER_ID, False)
    assert "acme, beta: sealed with an older key" in await check_seals(command_line)

    assert (await command_line("organizations", "reseal")).out == "acme: resealed.\nbeta: resealed.\n"
    assert (await command_line("organizations", "reseal")).out == "acme: unchanged.\nbeta: unchanged.\n"
    assert (
        await check_seals(command_line)
        == f"all are of the first key ({NEWER_ID}), so that {OLDER_ID} can be taken out of the list"
    )
    assert {one["sealed_with_first_key"] for one in (await command_line.list_organizations()).values()} == {
        True
    }
    assert [change["what"] for change in await read_history(connection)] == ["added"] * 2 + ["resealed"] * 2

    write_keys(NEWER_KEY)
    for name in ("acme", "beta"):
        await command_line("organizations", "test", name)


async def test_a_key_taken_out_too_early_is_told(command_line, acme, beta, write_keys):
    """What is sealed with a key that is gone fails the check, paused or not, is not resealed, and holds up no other."""
    await command_line.add(acme)
    await command_line("organizations", "pause", "acme")
    write_keys(NEWER_KEY)
    await command_line.add(beta)

    assert "acme: sealed with none of the keys that are set here" in await check_seals(command_line, code=1)
    told = await command_line("organizations", "reseal", code=1)
    assert f"acme: not done. The API key of acme was encrypted with the key {OLDER_ID}" in told.err
    assert told.out == "beta: unchanged.\n"


async def test_sealing_anew_blesses_nothing(command_line, acme, beta, write_keys, connection):
    """What somebody without our keys has put on the topic is not sealed by a rotation: it stays refused."""
    await command_line.add(acme)
    await add_by_reference(command_line, beta)
    for name in ("acme", "beta"):
        await tamper(connection, name, user="eve@evil.example")
    write_keys(NEWER_KEY, SECRETS_KEY)

    told = await command_line("organizations", "reseal", code=1)
    assert (told.out, len(told.err.splitlines())) == ("", 2)
    assert {one["sealed_with"] for one in (await command_line.list_organizations()).values()} == {OLDER_ID}
    for name in ("acme", "beta"):
        assert "eve@evil.example" in (await command_line("organizations", "test", name, code=1)).err


async def check_seals(command_line, code=0):
    """What `check` tells of them."""
    found = (await command_line("check", "--json", code=code)).json
    return next(one["message"] for one in found if one["subject"] == "seals")

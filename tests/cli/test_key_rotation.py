"""Seals of API keys and references: bound to one URL and user, and rotated to a newer key."""

import base64
import time
from dataclasses import replace

import pytest

from management.organizations.editor import edit_organization
from relay.credentials.keyring import Keyring
from tests.cli.conftest import SECRETS_KEY
from tests.support.organizations import read_change_log

NEWER_KEY = base64.b64encode(bytes(range(32))).decode()
OLDER_ID, NEWER_ID = Keyring([base64.b64decode(SECRETS_KEY), bytes(range(32))]).ids


@pytest.fixture
def write_keys(tmp_path):
    """Return a function that writes these keys into the key file of `command_line`, in this order."""
    return lambda *keys: (tmp_path / "secrets.key").write_text("\n".join(keys))


async def tamper(connection, name, **fields):
    """Change an organization like an attacker who may write to the topic and has no key."""

    def tampered(before):
        return replace(before, **fields)

    now = time.time_ns() // 1_000_000
    await edit_organization(connection, name, tampered, action="modified", author="eve", now_ms=now)


async def add_by_reference(command_line, site, *more):
    command_line.set_environment(**{f"RELAY_KEY_{site.name.upper()}": site.token})
    given = ("--url", site.url, "--user", site.user, "--name", site.name)
    return await command_line(
        "organizations", "add", *given, "--api-key-ref", f"env:RELAY_KEY_{site.name.upper()}", *more
    )


@pytest.mark.parametrize("paired", ["with the reference", "with the reference and its seal"])
async def test_a_reference_paired_with_another_site_is_refused(command_line, acme, beta, connection, paired):
    """A reference that an attacker paired with another URL and user sends no key there, and every command refuses it."""
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


async def test_an_operator_moves_a_reference_to_another_user(command_line, acme):
    """A new user needs no new reference: the stored one is bound to the new user, and works."""
    await add_by_reference(command_line, acme)
    command_line.set_environment(RELAY_KEY_ACME=acme.add_token(user="other@acme.example"))
    changed = await command_line("organizations", "modify", "acme", "--user", "other@acme.example")

    assert "credential: resealed" in changed.out
    await command_line("organizations", "test", "acme")
    again = ("organizations", "modify", "acme", "--api-key-ref", "env:RELAY_KEY_ACME")
    assert "unchanged" in (await command_line(*again)).out


async def test_an_unbound_reference_is_reported_and_can_be_bound(command_line, acme, connection, monkeypatch):
    """Without keys a reference works unbound, with a remark; with keys, giving it again or applying a file binds it."""
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
    assert "not changed" in (await command_line("organizations", "reseal", code=1)).err

    entry = f'[{{"name": "acme", "url": "{acme.url}", "user": "{acme.user}", "api_key_ref": "env:RELAY_KEY_ACME"}}]'
    assert "credential: resealed" in (await command_line("organizations", "apply", "-", key=entry)).out
    assert "unchanged" in (await command_line("organizations", "apply", "-", key=entry)).out
    await command_line("organizations", "test", "acme")
    await tamper(connection, "acme", credential_ciphertext=None)
    assert (
        "credential: resealed"
        in (await command_line("organizations", "modify", "acme", "--api-key-ref", "env:RELAY_KEY_ACME")).out
    )
    await command_line("organizations", "test", "acme")


async def test_keys_are_rotated_step_by_step(command_line, acme, beta, write_keys, connection):
    """After a newer key is put first, the list names older seals, `reseal` replaces them, and the older key can be removed."""
    await command_line.add(acme)
    await add_by_reference(command_line, beta)
    assert await check_seals(command_line) == f"all are sealed with the first key ({OLDER_ID})"

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
        == f"all are sealed with the first key ({NEWER_ID}); no seal needs {OLDER_ID}:"
        " take out a key that was replaced, and keep one that you just put in"
    )
    assert {one["sealed_with_first_key"] for one in (await command_line.list_organizations()).values()} == {
        True
    }
    assert [change["what"] for change in await read_change_log(connection)] == ["added"] * 2 + [
        "resealed"
    ] * 2

    write_keys(NEWER_KEY)
    for name in ("acme", "beta"):
        await command_line("organizations", "test", name)


async def test_a_key_that_is_removed_too_early_is_reported(command_line, acme, beta, write_keys):
    """A credential whose key is gone fails the check, also while paused, is not resealed, and does not stop the others."""
    await command_line.add(acme)
    await command_line("organizations", "pause", "acme")
    write_keys(NEWER_KEY)
    await command_line.add(beta)

    assert "acme: sealed with a key that is not set here" in await check_seals(command_line, code=1)
    result = await command_line("organizations", "reseal", code=1)
    assert f"acme: not changed. The API key of acme was encrypted with the key {OLDER_ID}" in result.err
    assert result.out == "beta: unchanged.\n"


async def test_resealing_approves_no_foreign_credential(command_line, acme, beta, write_keys, connection):
    """A credential that an attacker without keys wrote to the topic is not resealed, and stays refused."""
    await command_line.add(acme)
    await add_by_reference(command_line, beta)
    for name in ("acme", "beta"):
        await tamper(connection, name, user="eve@evil.example")
    write_keys(NEWER_KEY, SECRETS_KEY)

    result = await command_line("organizations", "reseal", code=1)
    assert (result.out, len(result.err.splitlines())) == ("", 2)
    assert {one["sealed_with"] for one in (await command_line.list_organizations()).values()} == {OLDER_ID}
    for name in ("acme", "beta"):
        assert "eve@evil.example" in (await command_line("organizations", "test", name, code=1)).err


async def check_seals(command_line, code=0):
    """Return the message of `check` about the seals."""
    found = (await command_line("check", "--json", code=code)).json
    return next(one["message"] for one in found if one["subject"] == "seals")

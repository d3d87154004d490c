"""OpenBao, a server that others wrote: what the relay asks, and what it says of each answer."""

from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from relay.config.secret_stores import SecretStoresConfig
from relay.credentials.stores.error import SecretStoreError
from relay.credentials.stores.key_services import open_key_service
from relay.credentials.stores.reference import parse_key, parse_reference
from tests.support.openbao import openbao
from tests.support.secret_stores import QUICK, stores_of

ACME = "vault:secret/jira/acme#key"
KEY = bytes(range(32))
POLICY = """
path "secret/data/jira/*" { capabilities = ["read"] }
path "transit/encrypt/relay" { capabilities = ["update"] }
path "transit/decrypt/relay" { capabilities = ["update"] }
"""
ASK_ANEW = replace(QUICK, reread_seconds=0.0)


@pytest.fixture
async def bao(tmp_path):
    async with openbao(tmp_path) as server:
        await server.mount("secret", "kv", options={"version": "2"})
        await server.mount("transit", "transit")
        await server.mount("auth/approle", "approle")
        await server.write("transit/keys/relay")
        await server.write("sys/policies/acl/jira-relay", policy=POLICY)
        await server.write("auth/approle/role/jira-relay", token_policies="jira-relay", token_ttl="1h")
        await server.write("secret/data/jira/acme", data={"key": "first"})
        yield server


async def login_of(bao, role="jira-relay", **settings):
    """Return the settings of the login by a role."""
    role_id = await bao.write(f"auth/approle/role/{role}/role-id", "GET")
    secret_id = await bao.write(f"auth/approle/role/{role}/secret-id")
    login = {
        "vault_address": bao.url,
        "vault_ca_file": bao.ca_file,
        "vault_auth": "approle",
        "vault_role": role_id["data"]["role_id"],
        "vault_secret_id": secret_id["data"]["secret_id"],
    }
    return login | settings


async def revoke_logins(bao):
    """End the tokens of all logins, and return how many there were."""
    listed = await bao.write("auth/token/accessors", "LIST")
    ended = 0
    for accessor in listed["data"]["keys"]:
        token = await bao.write("auth/token/lookup-accessor", accessor=accessor)
        if token["data"]["display_name"] == "approle":
            await bao.write("auth/token/revoke-accessor", accessor=accessor)
            ended += 1
    return ended


@asynccontextmanager
async def refused(text):
    with pytest.raises(SecretStoreError, match=text):
        yield


async def test_a_secret_is_followed_through_rotation_revocation_and_a_seal(bao):
    """In one test, since the server takes seconds to start. A refused read costs no login."""
    stores = stores_of(ASK_ANEW, **await login_of(bao))
    assert await stores.read(ACME) == "first"
    await bao.write("secret/data/jira/acme", data={"key": "second"})
    assert await stores.reread(ACME)
    for _ in range(3):
        async with refused("a policy with read on secret/data/other"):
            await stores.read("vault:secret/other#key")
    assert await revoke_logins(bao) == 1
    await bao.write("secret/data/jira/acme", data={"key": "third"})
    assert await stores.reread(ACME)
    await bao.seal()
    assert not await stores.reread(ACME)
    async with refused("sealed"):
        await stores.read("vault:secret/jira/none#key")
    assert stores.known(ACME) == "third"
    await bao.unseal()
    async with refused("no such secret"):
        await stores.read("vault:secret/jira/none#key")
    await bao.write("secret/data/jira/acme", "DELETE")
    assert not await stores.reread(ACME)
    assert stores.known(ACME) == "third"


async def test_settings_that_cannot_work_are_named(bao):
    login = await login_of(bao)
    for settings, text in [
        ({"vault_secret_id": "wrong"}, "the login approle is refused"),
        ({"vault_auth_mount": "other"}, "the login approle is refused"),
        ({"vault_namespace": "none"}, "the login approle is refused.*namespace"),
        ({"vault_ca_file": None}, "certificate verify failed"),
        ({"vault_address": bao.url.replace("https", "http")}, "no Vault server.*https, host and port"),
        ({"vault_auth": "token", "vault_token": "wrong"}, "refuses the token, or its policy"),
    ]:
        async with refused(text):
            await stores_of(**(login | settings)).read(ACME)
    await bao.write("sys/namespaces/security")
    await bao.mount("secret", "kv", namespace="security", options={"version": "2"})
    await bao.write("secret/data/jira/acme", namespace="security", data={"key": "inside"})
    root = {"vault_auth": "token", "vault_token": bao.root, "vault_namespace": "security"}
    assert await stores_of(**(login | root)).read(ACME) == "inside"


async def test_a_key_is_wrapped_by_transit_and_its_versions_are_obeyed(bao):
    service = open_key_service("vault-transit", SecretStoresConfig(**await login_of(bao)), {})
    key = parse_key("vault-transit:transit/relay")
    old = parse_reference(await service.wrap(key, KEY))
    await bao.write("transit/keys/relay/rotate")
    new = parse_reference(await service.wrap(key, await service.unwrap(old)))
    await bao.write("transit/keys/relay/config", min_decryption_version=2)

    assert await service.unwrap(new) == KEY
    for reference in (old, parse_reference(new.text[:-20])):
        async with refused("did not wrap this text, or decrypts this version of it no more"):
            await service.unwrap(reference)
    async with refused("a policy with update on transit/encrypt/other"):
        await service.wrap(parse_key("vault-transit:transit/other"), KEY)

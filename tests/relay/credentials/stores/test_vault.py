import traceback
from dataclasses import replace

import pytest

from relay.credentials.stores.error import SecretStoreError
from simulators import faults
from simulators.secret_stores.vault import VaultSimulator
from tests.support.secret_stores import QUICK, running, stores_of

ACME = "vault:secret/jira/acme#key"


@pytest.fixture
async def vault():
    async with running(VaultSimulator()) as service:
        service.data["secret/jira/acme"] = {"key": "secret-key", "number": 7, "empty": ""}
        yield service


def token_stores(vault, **settings):
    return stores_of(vault_address=vault.url, vault_token=vault.root, **settings)


def role_stores(vault, **settings):
    login = {"vault_auth": "approle", "vault_role": vault.role_id, "vault_secret_id": vault.secret_id}
    return stores_of(vault_address=vault.url, **(login | settings))


async def test_a_field_is_read_by_a_token_and_in_a_namespace(vault):
    assert await token_stores(vault).read(ACME) == "secret-key"
    vault.namespace = "security"
    assert await token_stores(vault, vault_namespace="security").read(ACME) == "secret-key"


async def test_a_token_in_a_file_is_read_for_each_request(vault, tmp_path):
    """An agent renews it."""
    file = tmp_path / "token"
    file.write_text("hvs.ended\n")
    vault.data["secret/other"] = {"key": "other"}
    stores = stores_of(vault_address=vault.url, vault_token_file=file)
    with pytest.raises(SecretStoreError, match="read on secret/data/jira/acme"):
        await stores.read(ACME)
    file.write_text(f"{vault.root}\n")

    assert await stores.read("vault:secret/other#key") == "other"


@pytest.mark.parametrize("text", ["hvs.first\nhvs.second\n", "hvs.fïrst"])
async def test_a_token_that_no_header_can_hold_is_not_shown(vault, tmp_path, text):
    file = tmp_path / "token"
    file.write_text(text, "utf-8")
    with pytest.raises(SecretStoreError, match="cannot be sent: it has a line break") as caught:
        await stores_of(vault_address=vault.url, vault_token_file=file).read(ACME)

    assert "hvs" not in "".join(traceback.format_exception(caught.value))


async def test_a_login_by_a_role_is_kept_and_repeated_when_its_token_has_ended(vault):
    stores = role_stores(vault)
    vault.data["secret/other"] = vault.data["secret/third"] = {"key": "other"}
    await stores.read(ACME)
    await stores.read("vault:secret/other#key")
    assert vault.requests["/v1/auth/approle/login"] == 1
    vault.revoke_logins()

    assert await stores.read("vault:secret/third#key") == "other"
    assert vault.requests["/v1/auth/approle/login"] == 2


async def test_a_pod_signs_in_with_the_token_of_its_service_account(vault, tmp_path):
    file = tmp_path / "token"
    file.write_text(vault.pod_token)
    settings = {"vault_auth": "kubernetes", "vault_role": "jira-relay", "vault_kubernetes_token_file": file}

    assert await stores_of(vault_address=vault.url, **settings).read(ACME) == "secret-key"


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("vault:secret/jira/none#key", "no such secret"),
        ("vault:secret/jira/acme#none", "no field none"),
        ("vault:secret/jira/acme#number", "no text"),
        ("vault:secret/jira/acme#empty", "it is empty"),
    ],
)
async def test_a_lasting_fault_names_the_remedy_after_one_request(vault, reference, text):
    with pytest.raises(SecretStoreError, match=text):
        await token_stores(vault).read(reference)
    assert vault.requests.total() == 1


async def test_a_standby_that_redirects_is_named(vault):
    """Its token goes to no other host."""
    vault.fault(faults.respond_with(307), rate=1.0)
    with pytest.raises(SecretStoreError, match=r"redirects.*vault_address"):
        await token_stores(vault).read(ACME)
    assert vault.requests.total() == 1


async def test_a_policy_that_refuses_costs_no_login(vault):
    """The server keeps each login until its own end, and a secret that is refused is asked for every 30 seconds."""
    vault.denied.add("secret/jira/acme")
    stores = role_stores(vault, timing=replace(QUICK, reread_seconds=0.0))
    for _ in range(2):
        with pytest.raises(SecretStoreError, match="a policy with read on secret/data/jira/acme"):
            await stores.read(ACME)
    assert vault.requests["/v1/auth/approle/login"] == 1


async def test_a_token_gets_the_policies_that_its_role_was_given_later(vault, monkeypatch):
    """The old token is given back, so that they do not pile up at the server."""
    vault.denied.add("secret/jira/acme")
    stores = role_stores(vault, timing=replace(QUICK, reread_seconds=0.0))
    monkeypatch.setattr("relay.credentials.stores.vault.RIGHTS_SECONDS", 0.0)
    for _ in range(2):
        with pytest.raises(SecretStoreError):
            await stores.read(ACME)
    assert (vault.requests["/v1/auth/approle/login"], vault.logins) == (3, 1)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"vault_secret_id": "wrong"}, "the login approle is refused"),
        ({"vault_auth_mount": "approle/other"}, "the login approle is refused"),
        ({"vault_secret_id": None}, "neither secret_stores.vault_secret_id nor vault_secret_id_file is set"),
        ({"vault_secret_id_file": "/nowhere/id"}, "/nowhere/id with the login cannot be read: No such file"),
        ({"vault_address": None}, "secret_stores.vault_address is not set"),
    ],
)
async def test_a_login_that_cannot_work_names_the_setting(vault, settings, text):
    login = {"vault_auth": "approle", "vault_role": vault.role_id, "vault_secret_id": vault.secret_id}
    with pytest.raises(SecretStoreError, match=text):
        await stores_of(**({"vault_address": vault.url} | login | settings)).read(ACME)


async def test_a_sealed_server_is_named_and_asked_again(vault):
    vault.sealed = True
    stores = role_stores(vault)
    with pytest.raises(SecretStoreError, match="sealed"):
        await stores.read(ACME)
    assert vault.requests.total() == 3


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (faults.respond_with(429), "limits requests.*raise the quota"),
        (faults.respond_with(500), "the server failed"),
        (faults.reset(), "did not answer"),
    ],
)
async def test_a_passing_fault_is_tried_again(vault, fault, text):
    vault.fault(fault, times=1)
    assert await token_stores(vault).read(ACME) == "secret-key"
    vault.fault(fault, rate=1.0)
    with pytest.raises(SecretStoreError, match=text):
        await token_stores(vault).read(ACME)

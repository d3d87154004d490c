import pytest

from relay.credentials.stores.error import SecretStoreError
from simulators import faults
from simulators.secret_stores.key_vault import KeyVaultSimulator
from tests.support.secret_stores import running, stores_of

JIRA = "azure-key-vault:acme-kv/jira"


@pytest.fixture
async def vault(monkeypatch):
    async with running(KeyVaultSimulator()) as service:
        for name, value in service.environment.items():
            monkeypatch.setenv(name, value)
        yield service


@pytest.fixture
def stores(vault):
    return stores_of(azure_endpoint=vault.url, azure_credential="managed-identity")


async def test_the_newest_version_is_read_and_a_named_one(vault, stores):
    first = vault.put("jira", "key-1")
    vault.put("jira", "key-2")

    assert await stores.read(JIRA) == "key-2"
    assert await stores.read(f"{JIRA}/{first}") == "key-1"


async def test_a_field_of_a_json_object(vault, stores):
    vault.put("jira", '{"key": "secret-key", "number": 1}')

    assert await stores.read(f"{JIRA}#key") == "secret-key"
    for field, text in [("number", "no text in the field number"), ("other", "no text in the field other")]:
        with pytest.raises(SecretStoreError, match=text):
            await stores.read(f"{JIRA}#{field}")


async def test_a_text_without_fields_says_so_and_shows_nothing(vault, stores):
    vault.put("jira", "secret-key\n")

    assert await stores.read(JIRA) == "secret-key"
    with pytest.raises(SecretStoreError) as caught:
        await stores.read(f"{JIRA}#key")
    assert "Leave out #key" in str(caught.value)
    assert "secret-key" not in str(caught.value)


async def test_the_token_is_kept_and_replaced_when_the_vault_rejects_it(vault, stores):
    vault.put("jira", "key")
    vault.put("other", "key")
    await stores.read(JIRA)
    await stores.read("azure-key-vault:acme-kv/other")
    assert vault.requests["/msi/token"] == 1
    vault.revoke_tokens()
    vault.put("third", "key")

    assert await stores.read("azure-key-vault:acme-kv/third") == "key"
    assert vault.requests["/msi/token"] == 2


@pytest.mark.parametrize(
    ("prepare", "text"),
    [
        (lambda vault: vault.versions.clear(), "none of this name and version"),
        (lambda vault: vault.forbidden.add("jira"), "Key Vault Secrets User"),
        (lambda vault: vault.disabled.add("jira"), "disabled"),
        (lambda vault: vault.put("jira", ""), "it is empty"),
    ],
)
async def test_a_lasting_fault_names_the_remedy_after_one_request(vault, stores, prepare, text):
    prepare(vault)
    with pytest.raises(SecretStoreError, match=text) as caught:
        await stores.read(JIRA)

    assert JIRA in str(caught.value)
    assert "appid" not in str(caught.value)
    assert vault.requests["/secrets/jira"] == 1


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (faults.respond_with(429), "throttled"),
        (faults.respond_with(503, "<html>"), "Key Vault failed"),
        (faults.reset(), "did not answer"),
        (faults.respond_with(200, "[]"), "no secret"),
    ],
)
async def test_a_passing_fault_is_tried_again(vault, stores, fault, text):
    vault.put("jira", "key")
    vault.fault(fault, "/secrets/", times=1)
    if text != "no secret":
        assert await stores.read(JIRA) == "key"
        assert vault.requests["/secrets/jira"] == 2
        vault.fault(fault, "/secrets/", rate=1.0)
    with pytest.raises(SecretStoreError, match=text):
        await stores.read("azure-key-vault:acme-kv/jira#x")


async def test_an_identity_without_a_token_is_named(vault, stores):
    vault.put("jira", "key")
    vault.fault(faults.respond_with(400, '{"error": "invalid_request"}'), "/msi/", rate=1.0)

    with pytest.raises(SecretStoreError, match=r"Azure gives no token to the credential managed-identity"):
        await stores.read(JIRA)


async def test_a_token_of_another_tenant_is_named(vault, stores):
    vault.put("jira", "key")
    vault.fault(faults.respond_with(401), "/secrets/", rate=1.0)

    with pytest.raises(SecretStoreError, match="AZURE_TENANT_ID"):
        await stores.read(JIRA)

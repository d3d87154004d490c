"""Keys of the relay that a key service wraps: the same claims for each service."""

import base64
from contextlib import asynccontextmanager

import pytest

from relay.config.secret_stores import SecretStoresConfig
from relay.credentials.stores.error import SecretStoreError
from relay.credentials.stores.key_services import open_key_service
from relay.credentials.stores.reference import parse_key, parse_reference
from simulators import faults
from simulators.secret_stores.aws import KEY as AWS_KEY
from simulators.secret_stores.aws import REGION, AwsSimulator
from simulators.secret_stores.google import GoogleSimulator
from simulators.secret_stores.key_vault import KeyVaultSimulator
from simulators.secret_stores.vault import VaultSimulator
from tests.support.secret_stores import running, stores_of

KEY = bytes(range(32))
SERVICES = {
    "azure-key-vault-key:acme-kv/relay": KeyVaultSimulator,
    "vault-transit:transit/relay": VaultSimulator,
    f"aws-kms:{AWS_KEY}": AwsSimulator,
    "google-kms:acme/global/relay/wrap": GoogleSimulator,
}
EACH = pytest.mark.parametrize("name", SERVICES)


@asynccontextmanager
async def opened(name, monkeypatch):
    """Yield the simulator, the service, and the settings and variables of its login."""
    async with running(SERVICES[name]()) as peer:
        config, environ = login(peer, monkeypatch)
        yield peer, open_key_service(name.partition(":")[0], SecretStoresConfig(**config), environ), config


def login(peer, monkeypatch):
    match peer:
        case KeyVaultSimulator():
            for name, value in peer.environment.items():
                monkeypatch.setenv(name, value)
            return {"azure_endpoint": peer.url, "azure_credential": "managed-identity"}, {}
        case VaultSimulator():
            return {"vault_address": peer.url, "vault_token": peer.root}, {}
        case AwsSimulator():
            return {"aws_endpoint": peer.url, "aws_region": REGION}, peer.environment
    return {"google_endpoint": peer.url}, {"GCE_METADATA_HOST": peer.url.removeprefix("http://")}


@EACH
async def test_a_wrapped_key_is_unwrapped_by_its_reference(name, monkeypatch):
    """The reference names the key that wrapped it, and shows nothing of the key in it."""
    async with opened(name, monkeypatch) as (_, service, _):
        reference = parse_reference(await service.wrap(parse_key(name), KEY))

        assert reference.shown.startswith(name)
        assert base64.b64encode(KEY).decode() not in reference.text
        assert await service.unwrap(reference) == KEY


@EACH
async def test_a_text_that_the_key_did_not_wrap_names_the_key(name, monkeypatch):
    """So does a key that the service does not have."""
    async with opened(name, monkeypatch) as (_, service, _):
        good = await service.wrap(parse_key(name), KEY)
        head, _, wrapped = good.partition("#")
        middle = len(wrapped) // 2
        changed = wrapped[:middle] + ("A" if wrapped[middle] != "A" else "B") + wrapped[middle + 1 :]
        with pytest.raises(SecretStoreError):
            await service.unwrap(parse_reference(f"{head}#{changed}"))
        with pytest.raises(SecretStoreError):
            await service.wrap(parse_key(f"{name}2"), KEY)


@EACH
@pytest.mark.parametrize("status", [403, 429, 500])
async def test_a_refusal_names_a_remedy(name, status, monkeypatch):
    """A service that is busy or fails may be asked again; a right that is missing may not."""
    async with opened(name, monkeypatch) as (peer, service, _):
        reference = parse_reference(await service.wrap(parse_key(name), KEY))
        peer.fault(faults.respond_with(status), rate=1.0)
        with pytest.raises(SecretStoreError, match=r"\.") as caught:
            await service.unwrap(reference)
        assert caught.value.transient == (status != 403)


async def test_a_key_that_an_alias_wrapped_is_unwrapped_when_the_alias_has_moved(monkeypatch):
    """An alias is moved to rotate a key; the reference names the key itself, so the next start of the relay succeeds."""
    async with running(AwsSimulator()) as peer:
        config, environ = login(peer, monkeypatch)
        service = open_key_service("aws-kms", SecretStoresConfig(**config), environ)
        reference = parse_reference(await service.wrap(parse_key("aws-kms:alias/relay"), KEY))
        peer.move_alias("alias/relay")

        assert reference.shown == f"aws-kms:{AWS_KEY}"
        assert await service.unwrap(reference) == KEY


async def test_an_answer_without_a_key_of_32_bytes_is_refused(monkeypatch):
    for name in SERVICES:
        async with opened(name, monkeypatch) as (peer, service, _):
            reference = parse_reference(await service.wrap(parse_key(name), KEY))
            peer.fault(faults.respond_with(200, '{"value": "QQ", "data": {"plaintext": "QQ=="}}'), rate=1.0)
            with pytest.raises(SecretStoreError):
                await service.unwrap(reference)


async def test_an_answer_without_a_wrapped_key_is_refused(monkeypatch):
    """The page of a proxy, or a text that no reference can hold, is no traceback."""
    paths = {"azure-key-vault-key": "/keys/", "google-kms": ":encrypt"}
    odd = '{"value": "?", "kid": "https://kv/keys/relay/x", "data": {"ciphertext": "?"}, "ciphertext": "?", "CiphertextBlob": "?"}'
    for name in SERVICES:
        async with opened(name, monkeypatch) as (peer, service, _):
            for body in ("<html>", odd):
                peer.fault(faults.respond_with(200, body), paths.get(name.partition(":")[0], ""), times=1)
                with pytest.raises(SecretStoreError, match=r"its answer (has no key|is no wrapped key)"):
                    await service.wrap(parse_key(name), KEY)


async def test_a_wrapped_key_is_read_as_settings_have_it_and_once(monkeypatch):
    """The value never changes, so the key service is asked at the start alone."""
    async with opened("vault-transit:transit/relay", monkeypatch) as (peer, service, config):
        text = await service.wrap(parse_key("vault-transit:transit/relay"), KEY)
        stores = stores_of(**config)
        assert await stores.read(text) == base64.b64encode(KEY).decode()
        assert stores.known(text, 0.0) == stores.known(text, -1.0)
        assert peer.requests["/v1/transit/decrypt/relay"] == 1


@pytest.mark.parametrize(
    "text",
    [
        "vault:secret/acme",
        "aws-kms:alias/relay#AAAAAAAAAAAAAAAAAAAA",
        "google-kms:acme/global/relay",
        "azure-key-vault-key:acme-kv",
        "",
    ],
)
def test_a_key_has_its_form(text):
    with pytest.raises(ValueError, match="must be that of a key service: azure-key-vault-key:VAULT/KEY"):
        parse_key(text)


def test_a_reference_without_a_wrapped_key_is_refused():
    with pytest.raises(ValueError, match="jira-relay keyring wrap"):
        parse_reference("aws-kms:alias/relay")
    with pytest.raises(ValueError, match="must have the form aws-kms:KEY#WRAPPED"):
        parse_reference("aws-kms:alias/relay#short")

import json

import pytest

from relay.config.secret_stores import SecretStoresConfig
from relay.credentials.stores.error import SecretStoreError
from relay.credentials.stores.google import SecretManager
from relay.credentials.stores.reference import parse_reference
from simulators import faults
from simulators.secret_stores.google import GoogleSimulator
from tests.support.secret_stores import running

ACME = "google-secret-manager:acme-audit/jira"


@pytest.fixture
async def google():
    async with running(GoogleSimulator()) as service:
        service.values["jira"] = [b"key-1", b"key-2"]
        yield service


def manager(google, environ=None):
    machine = {"GCE_METADATA_HOST": google.url.removeprefix("http://")}
    return SecretManager(
        SecretStoresConfig(google_endpoint=google.url), machine if environ is None else environ
    )


async def read(found, reference=ACME):
    return await found.read(parse_reference(reference))


async def test_the_newest_version_and_a_named_one(google):
    found = manager(google)
    assert await read(found) == "key-2"
    assert await read(found, f"{ACME}/1") == "key-1"


async def test_the_token_is_kept_and_replaced_when_it_is_refused(google):
    found = manager(google)
    path = "/computeMetadata/v1/instance/service-accounts/default/token"
    await read(found)
    await read(found)
    assert google.requests[path] == 1
    google.revoke_tokens()

    assert await read(found) == "key-2"
    assert google.requests[path] == 2


def credential(google, kind):
    """Return the content of a credential's file."""
    token = {"token_uri": f"{google.url}/token", "token_url": f"{google.url}/token"}
    return (
        token
        | {
            "service_account": {"client_email": "relay@acme.example", "private_key": google.private_key},
            "authorized_user": {
                "client_id": "i",
                "client_secret": "s",
                "refresh_token": google.refresh_token,
            },
            "external_account": {
                "audience": "//iam.googleapis.com/pool",
                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                "service_account_impersonation_url": f"{google.url}/impersonate",
            },
        }[kind]
    )


@pytest.mark.parametrize("kind", ["service_account", "authorized_user", "external_account"])
async def test_a_credential_in_a_file_signs_in(google, tmp_path, kind):
    (tmp_path / "subject").write_text(json.dumps({"token": google.subject_token}))
    source = {
        "file": str(tmp_path / "subject"),
        "format": {"type": "json", "subject_token_field_name": "token"},
    }
    file = tmp_path / "credential.json"
    file.write_text(json.dumps(credential(google, kind) | {"type": kind, "credential_source": source}))
    found = manager(google, {"GOOGLE_APPLICATION_CREDENTIALS": str(file)})

    assert await read(found) == "key-2"
    google.fault(faults.respond_with(400), "/token", rate=1.0)
    google.revoke_tokens()
    with pytest.raises(SecretStoreError, match=r"Google (rejects|does not exchange)"):
        await read(found)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("no json", "not a readable JSON object"),
        ('{"type": "service_account", "private_key": "secret-key"}', r"is incomplete \(KeyError\)"),
        ('{"type": "impersonated_service_account"}', "of a type that the relay does not use"),
    ],
)
async def test_a_file_that_cannot_be_used_is_named_and_not_shown(google, tmp_path, content, text):
    file = tmp_path / "credential.json"
    file.write_text(content)
    with pytest.raises(SecretStoreError, match=text) as caught:
        await read(manager(google, {"GOOGLE_APPLICATION_CREDENTIALS": str(file)}))
    assert "secret-key" not in str(caught.value)


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("google-secret-manager:acme-audit/none", "no such secret or version"),
        (f"{ACME}/9", "no such secret or version"),
        ("google-secret-manager:acme-audit/denied", "Secret Manager Secret Accessor"),
        ("google-secret-manager:acme-audit/disabled", "disabled or destroyed"),
        ("google-secret-manager:acme-audit/bytes", "not UTF-8"),
    ],
)
async def test_a_lasting_fault_names_the_remedy(google, reference, text):
    google.denied.add("denied")
    google.disabled.add("disabled")
    google.values["bytes"] = [b"\xff"]
    with pytest.raises(SecretStoreError, match=text) as caught:
        await read(manager(google), reference)
    assert not caught.value.transient


@pytest.mark.parametrize(
    ("path", "fault", "text"),
    [
        ("/secrets/", faults.respond_with(429), "limits requests"),
        ("/secrets/", faults.respond_with(500), "Secret Manager failed"),
        ("/secrets/", faults.reset(), "did not answer"),
        ("/computeMetadata/", faults.reset(), "no service account of Google"),
        ("/computeMetadata/", faults.respond_with(503), "no service account of Google"),
    ],
)
async def test_a_passing_fault_may_be_tried_again(google, path, fault, text):
    google.fault(fault, path, rate=1.0)
    with pytest.raises(SecretStoreError, match=text) as caught:
        await read(manager(google))
    assert caught.value.transient

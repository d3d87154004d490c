"""Keys of Google Cloud KMS that wrap the relay's keys."""

import base64
from collections.abc import Mapping
from typing import Any

from relay.config.secret_stores import SecretStoresConfig
from relay.credentials.stores.error import SecretStoreError
from relay.credentials.stores.google import call_google
from relay.credentials.stores.google_login import GoogleLogin
from relay.credentials.stores.reference import StoreReference, key_reference
from relay.credentials.stores.requests import StoreAnswer
from relay.credentials.stores.wrapped_keys import decode_key, no_key

ENDPOINT = "https://cloudkms.googleapis.com"
_PARTS = ("project", "location", "ring", "name")


class GoogleKeys:
    """Encrypts and decrypts by a symmetric key, which never leaves Google."""

    def __init__(self, config: SecretStoresConfig, environ: Mapping[str, str]) -> None:
        self._endpoint = config.google_endpoint or ENDPOINT
        self._login = GoogleLogin(environ)

    async def wrap(self, reference: StoreReference, key: bytes) -> str:
        """Return the reference of the wrapped key. Raises SecretStoreError."""
        body = await self._call(reference, "encrypt", {"plaintext": base64.b64encode(key).decode()})
        if not isinstance(body.get("ciphertext"), str):
            raise no_key()
        return key_reference(
            reference, "/".join(reference.parts[part] for part in _PARTS), body["ciphertext"]
        )

    async def unwrap(self, reference: StoreReference) -> bytes:
        """Return the key. Raises SecretStoreError."""
        body = await self._call(reference, "decrypt", {"ciphertext": reference.parts["wrapped"]})
        return decode_key(body.get("plaintext"))

    async def _call(
        self, reference: StoreReference, action: str, content: dict[str, str]
    ) -> Mapping[str, Any]:
        project, location, ring, name = (reference.parts[part] for part in _PARTS)
        key = f"projects/{project}/locations/{location}/keyRings/{ring}/cryptoKeys/{name}"
        answer = await call_google(self._login, "POST", f"{self._endpoint}/v1/{key}:{action}", json=content)
        if answer.ok:
            return answer.body
        raise SecretStoreError(_explain(answer), transient=answer.transient)


def _explain(answer: StoreAnswer) -> str:
    if answer.transient:
        return f"Cloud KMS failed, or limits requests. The relay asks again by itself ({answer.status})."
    match answer.status:
        case 400:
            reason = "the key did not wrap this text, or a version of it is disabled. Check the reference and the key"
        case 403:
            reason = "the service account may not use the key, or the API is off. Give it the role Cloud KMS CryptoKey Decrypter on the key"
        case 404:
            reason = "Google has no such key. Check project, location, ring and name"
        case _:
            reason = "Google refuses the request. Check the service account"
    return f"{reason} ({answer.status})."

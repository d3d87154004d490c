"""Keys of AWS KMS that wrap the relay's keys."""

import base64
from collections.abc import Mapping

from relay.config.secret_stores import SecretStoresConfig
from relay.credentials.stores.aws import Aws
from relay.credentials.stores.reference import StoreReference, key_reference
from relay.credentials.stores.wrapped_keys import decode_key, no_key

CONTEXT = {"application": "jira-audit-relay"}
"""The encryption context: a policy may require it, and the log of AWS shows it."""


class AwsKeys:
    """Encrypts and decrypts by a symmetric key, which never leaves AWS."""

    def __init__(self, config: SecretStoresConfig, environ: Mapping[str, str]) -> None:
        self._aws = Aws(config, environ)

    async def wrap(self, reference: StoreReference, key: bytes) -> str:
        """Return the reference of the wrapped key, with the ARN of the key that wrapped it. Raises SecretStoreError.

        An alias may point to another key later, which does not unwrap it; AWS names the key behind it ("Encrypt", KeyId).
        """
        content = {
            "KeyId": reference.parts["name"],
            "Plaintext": base64.b64encode(key).decode(),
            "EncryptionContext": CONTEXT,
        }
        body = await self._aws.call("kms", "TrentService.Encrypt", content, reference.parts["region"])
        if not isinstance(body.get("CiphertextBlob"), str):
            raise no_key()
        name = body.get("KeyId")
        return key_reference(
            reference, name if isinstance(name, str) else reference.parts["name"], body["CiphertextBlob"]
        )

    async def unwrap(self, reference: StoreReference) -> bytes:
        """Return the key. Raises SecretStoreError."""
        content = {
            "KeyId": reference.parts["name"],
            "CiphertextBlob": reference.parts["wrapped"],
            "EncryptionContext": CONTEXT,
        }
        body = await self._aws.call("kms", "TrentService.Decrypt", content, reference.parts["region"])
        return decode_key(body.get("Plaintext"))

"""Google: Secret Manager, KMS, and the places of a token."""

import base64
import json
import secrets
import time
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from simulators.secret_stores.service import StoreService

SECRETS, KEYS = "/v1/projects/", "/v1/projects/acme/locations/global/keyRings/relay/cryptoKeys/wrap"


class GoogleSimulator(StoreService):
    """One project. `denied`, `disabled`: names of secrets that are refused."""

    def __init__(self) -> None:
        super().__init__(self._serve)
        self.values: dict[str, list[bytes]] = {}
        self.denied: set[str] = set()
        self.disabled: set[str] = set()
        self.refresh_token, self.subject_token = secrets.token_hex(16), secrets.token_hex(16)
        self._key = rsa.generate_private_key(65537, 2048)
        self._kms = AESGCM(secrets.token_bytes(32))
        self._tokens: set[str] = set()

    @property
    def private_key(self) -> str:
        """The key of the service account, in PEM."""
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        return self._key.private_bytes(encoding, form, serialization.NoEncryption()).decode()

    def revoke_tokens(self) -> None:
        self._tokens.clear()

    async def _serve(self, request: web.Request) -> web.Response:
        if request.path.startswith("/computeMetadata/"):
            return self._issue(allowed=request.headers.get("Metadata-Flavor") == "Google")
        if request.path == "/token":
            form = await request.post()
            return self._issue(allowed=self._is_right(form))
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self._tokens:
            return _error(401, "UNAUTHENTICATED")
        if request.path == "/impersonate":
            end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
            return web.json_response({"accessToken": self._new_token(), "expireTime": end})
        if request.path.startswith(KEYS):
            return self._kms_answer(request.path.rpartition(":")[2], json.loads(await request.read()))
        return self._secret(request.path.removeprefix(SECRETS).removesuffix(":access").split("/"))

    def _is_right(self, form: Any) -> bool:
        match form["grant_type"]:
            case "refresh_token":
                return bool(form["refresh_token"] == self.refresh_token)
            case "urn:ietf:params:oauth:grant-type:token-exchange":
                return bool(form["subject_token"] == self.subject_token)
        signed, _, signature = form["assertion"].rpartition(".")
        claims = json.loads(_decode(signed.partition(".")[2]))
        self._key.public_key().verify(
            _decode(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256()
        )
        return bool(claims["aud"] == f"{self.url}/token" and claims["exp"] > time.time())

    def _issue(self, *, allowed: bool) -> web.Response:
        if not allowed:
            return web.json_response({"error": "invalid_grant"}, status=400)
        return web.json_response(
            {"access_token": self._new_token(), "expires_in": 3599, "token_type": "Bearer"}
        )

    def _new_token(self) -> str:
        token = f"ya29.{secrets.token_hex(24)}"
        self._tokens.add(token)
        return token

    def _secret(self, parts: list[str]) -> web.Response:
        if len(parts) != 5 or parts[1] != "secrets" or parts[3] != "versions":
            return _error(404, "NOT_FOUND")
        name, version = parts[2], parts[4]
        if name in self.denied:
            return _error(403, "PERMISSION_DENIED")
        if name in self.disabled:
            return _error(400, "FAILED_PRECONDITION")
        versions = self.values.get(name, [])
        number = len(versions) if version == "latest" else int(version)
        if not 0 < number <= len(versions):
            return _error(404, "NOT_FOUND")
        return web.json_response({"payload": {"data": base64.b64encode(versions[number - 1]).decode()}})

    def _kms_answer(self, action: str, content: dict[str, str]) -> web.Response:
        if action == "encrypt":
            nonce = secrets.token_bytes(12)
            sealed = nonce + self._kms.encrypt(nonce, base64.b64decode(content["plaintext"]), None)
            return web.json_response({"ciphertext": base64.b64encode(sealed).decode()})
        sealed = base64.b64decode(content["ciphertext"])
        try:
            plain = self._kms.decrypt(sealed[:12], sealed[12:], None)
        except Exception:  # noqa: BLE001 - as the service: any fault is one answer
            return _error(400, "INVALID_ARGUMENT")
        return web.json_response({"plaintext": base64.b64encode(plain).decode()})


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _error(status: int, code: str) -> web.Response:
    return web.json_response({"error": {"code": status, "status": code, "message": "x"}}, status=status)

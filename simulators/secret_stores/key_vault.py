"""Azure Key Vault with the token endpoint of App Service: secrets with versions, and keys that wrap keys."""

import base64
import json
import secrets
import time

from aiohttp import web
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_wrap

from simulators.secret_stores.service import StoreService

AUDIENCE = "https://vault.azure.net"
TENANT = "6f89cf12-0000-4000-8000-000000000000"


class KeyVaultSimulator(StoreService):
    """One vault under any name. `forbidden`, `disabled`: names that are refused."""

    def __init__(self) -> None:
        super().__init__(self._serve)
        self.header = secrets.token_hex(16)
        self.versions: dict[str, dict[str, str]] = {}
        """Versions and values of each secret, the newest last."""
        self.keys: dict[str, bytes] = {"relay": secrets.token_bytes(32)}
        self.forbidden: set[str] = set()
        self.disabled: set[str] = set()
        self.token_seconds = 3600.0
        self._tokens: dict[str, str] = {}

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make azure-identity ask this machine for tokens, as in App Service."""
        return {"IDENTITY_ENDPOINT": f"{self.url}/msi/token", "IDENTITY_HEADER": self.header}

    def put(self, name: str, value: str) -> str:
        """Store a value, and return its version."""
        version = secrets.token_hex(16)
        self.versions.setdefault(name, {})[version] = value
        return version

    def revoke_tokens(self) -> None:
        self._tokens.clear()

    async def _serve(self, request: web.Request) -> web.Response:
        parts = [part for part in request.path.split("/") if part]
        if parts == ["msi", "token"]:
            return self._issue(request)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or self._tokens.get(token) != AUDIENCE:
            return _error(401, "Unauthorized")
        if request.query.get("api-version") != "7.4":
            return _error(400, "BadParameter")
        if len(parts) < 2 or parts[1] in self.forbidden:
            return _error(403, "Forbidden", "ForbiddenByRbac")
        if parts[1] in self.disabled:
            return _error(403, "Forbidden", "SecretDisabled")
        return self._secret(*parts[1:]) if parts[0] == "secrets" else await self._key(request, *parts[1:])

    def _issue(self, request: web.Request) -> web.Response:
        if request.headers.get("X-IDENTITY-HEADER") != self.header:
            return web.json_response({"error": "invalid_request"}, status=400)
        token = secrets.token_hex(32)
        self._tokens[token] = request.query["resource"].rstrip("/")
        expires = str(int(time.time() + self.token_seconds))
        return web.json_response(
            {
                "access_token": token,
                "expires_on": expires,
                "resource": AUDIENCE,
                "token_type": "Bearer",
            }
        )

    def _secret(self, name: str, version: str = "") -> web.Response:
        versions = self.versions.get(name, {})
        version = version or next(reversed(versions), "")
        if version not in versions:
            return _error(404, "SecretNotFound")
        return web.json_response({"value": versions[version], "id": f"{self.url}/secrets/{name}/{version}"})

    async def _key(self, request: web.Request, name: str, *rest: str) -> web.Response:
        key, content = self.keys.get(name), json.loads(await request.read())
        if key is None:
            return _error(404, "KeyNotFound")
        if content.get("alg") != "RSA-OAEP-256" or rest[-1] not in {"wrapkey", "unwrapkey"}:
            return _error(400, "BadParameter")
        turn = aes_key_wrap if rest[-1] == "wrapkey" else aes_key_unwrap
        value = _encode(turn(key, _decode(content["value"])))
        version = rest[0] if len(rest) > 1 else "0" * 31 + "1"
        return web.json_response(
            {"kid": f"https://acme-kv.vault.azure.net/keys/{name}/{version}", "value": value}
        )


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _error(status: int, code: str, inner: str | None = None) -> web.Response:
    error: dict[str, object] = {"code": code, "message": "The user is not authorized. Caller: appid=0000."}
    if inner:
        error["innererror"] = {"code": inner}
    challenge = f'Bearer authorization="https://login.microsoftonline.com/{TENANT}", resource="{AUDIENCE}"'
    headers = {"WWW-Authenticate": challenge} if status == 401 else {}
    return web.json_response({"error": error}, status=status, headers=headers)

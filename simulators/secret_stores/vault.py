"""HashiCorp Vault, as OpenBao answers too: KV version 2, AppRole, Kubernetes login, and transit."""

import base64
import json
import secrets
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from simulators.secret_stores.service import StoreService


class VaultSimulator(StoreService):
    """One server. `sealed`: it answers nothing. `policies`: paths that a token may not read."""

    def __init__(self) -> None:
        super().__init__(self._serve)
        self.root = f"hvs.{secrets.token_hex(12)}"
        self.role_id, self.secret_id = secrets.token_hex(16), secrets.token_hex(16)
        self.pod_token = secrets.token_hex(32)
        self.namespace = ""
        self.token_seconds = 3600
        self.sealed = False
        self.denied: set[str] = set()
        self.data: dict[str, dict[str, Any]] = {}
        """Fields of each secret, by mount and path: `secret/jira/acme`."""
        self._tokens = {self.root}
        self._transit = AESGCM(secrets.token_bytes(32))

    @property
    def logins(self) -> int:
        """Tokens of logins that have not ended."""
        return len(self._tokens - {self.root})

    def revoke_logins(self) -> None:
        self._tokens = {self.root}

    async def _serve(self, request: web.Request) -> web.Response:
        if self.sealed:
            return _errors(503, "Vault is sealed")
        content = json.loads(await request.read() or b"{}")
        path = request.path.removeprefix("/v1/")
        if request.headers.get("X-Vault-Namespace", "") != self.namespace:
            return _errors(404, "no handler for route")
        if path.endswith("/login"):
            return self._log_in(path, content)
        if request.headers.get("X-Vault-Token") not in self._tokens:
            return _errors(403, "permission denied")
        if path == "auth/token/lookup-self":
            return web.json_response({"data": {"ttl": self.token_seconds}})
        if path == "auth/token/revoke-self":
            self._tokens.discard(request.headers["X-Vault-Token"])
            return web.Response(status=204)
        if path.startswith("transit/"):
            return self._transit_answer(path, content)
        return self._read(path)

    def _log_in(self, path: str, content: dict[str, str]) -> web.Response:
        expected = {
            "auth/approle/login": {"role_id": self.role_id, "secret_id": self.secret_id},
            "auth/kubernetes/login": {"role": "jira-relay", "jwt": self.pod_token},
        }
        if path not in expected:
            return _errors(404, "no handler for route")
        if content != expected[path]:
            return _errors(400 if "approle" in path else 403, "invalid role or secret ID")
        token = f"hvs.{secrets.token_hex(12)}"
        self._tokens.add(token)
        return web.json_response({"auth": {"client_token": token, "lease_duration": self.token_seconds}})

    def _read(self, path: str) -> web.Response:
        mount, _, rest = path.partition("/")
        kind, _, name = rest.partition("/")
        if f"{mount}/{name}" in self.denied:
            return _errors(403, "permission denied")
        if kind != "data" or f"{mount}/{name}" not in self.data:
            return _errors(404)
        return web.json_response({"data": {"data": self.data[f"{mount}/{name}"], "metadata": {"version": 1}}})

    def _transit_answer(self, path: str, content: dict[str, str]) -> web.Response:
        _, action, key = path.split("/")
        if key != "relay":
            return _errors(400, "encryption key not found")
        if action == "encrypt":
            nonce = secrets.token_bytes(12)
            sealed = nonce + self._transit.encrypt(nonce, base64.b64decode(content["plaintext"]), None)
            return web.json_response(
                {"data": {"ciphertext": f"vault:v1:{base64.b64encode(sealed).decode()}"}}
            )
        try:
            sealed = base64.b64decode(content["ciphertext"].removeprefix("vault:v1:"))
            plain = self._transit.decrypt(sealed[:12], sealed[12:], None)
        except Exception:  # noqa: BLE001 - as the server: any fault is one answer
            return _errors(400, "invalid ciphertext")
        return web.json_response({"data": {"plaintext": base64.b64encode(plain).decode()}})


def _errors(status: int, *texts: str) -> web.Response:
    return web.json_response({"errors": list(texts)}, status=status)

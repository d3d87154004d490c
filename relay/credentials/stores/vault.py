"""HashiCorp Vault and OpenBao: a field of a secret of the KV engine, version 2, after a login by token, AppRole or Kubernetes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from relay.config.secret_stores import SecretStoresConfig
from relay.credentials.stores.error import SecretStoreError
from relay.credentials.stores.login_token import LoginToken
from relay.credentials.stores.reference import StoreReference
from relay.credentials.stores.requests import StoreAnswer, open_client, send

ENDLESS_SECONDS = 3600.0
"""How long the token of a login without an end is kept (`lease_duration` 0)."""
RIGHTS_SECONDS = 300.0
"""A token that is refused is replaced at this age, since it has the policies that its role had at the login."""
KUBERNETES_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class Vault:
    """Reads secrets of one server. The token of a login is kept between reads; a token in a file is read each time."""

    def __init__(self, config: SecretStoresConfig) -> None:
        self._config = config
        self._token = LoginToken()

    async def read(self, reference: StoreReference) -> str:
        """Return the field. Raises SecretStoreError."""
        mount, name, field = (reference.parts[part] for part in ("mount", "name", "key"))
        answer = await self.call("GET", f"{mount}/data/{name}", f"read on {mount}/data/{name}")
        data = _object(_object(answer.body, "data"), "data")
        if field not in data:
            raise SecretStoreError(f"it has no field {field}. Check the name behind #.")
        if not isinstance(data[field], str):
            raise SecretStoreError(f"its field {field} is no text. Write it as a text.")
        return str(data[field])

    async def call(self, method: str, path: str, policy: str, **options: Any) -> StoreAnswer:
        """Make one request below /v1, and another after a new login if the token is refused. Raises SecretStoreError.

        `policy`: the right that it needs, as the message of a refusal names it.
        """
        if self._config.vault_address is None:
            raise SecretStoreError(
                "secret_stores.vault_address is not set. Set it to the address of the server."
            )
        async with open_client(self._config.vault_ca_file) as client:
            token = await self._current_token(client)
            answer = await self._send(client, method, path, token, options)
            if answer.status == 403 and await self._needs_login(client, token):
                self._token.forget()
                token = await self._current_token(client)
                answer = await self._send(client, method, path, token, options)
        if answer.ok:
            return answer
        raise SecretStoreError(_explain(answer, policy), transient=answer.transient)

    async def _send(
        self, client: httpx.AsyncClient, method: str, path: str, token: str, options: Mapping[str, Any]
    ) -> StoreAnswer:
        headers = {**self._headers(), "X-Vault-Token": token}
        return await send(client, method, self._url(path), headers=headers, **options)

    async def _needs_login(self, client: httpx.AsyncClient, token: str) -> bool:
        """Return whether a new token may be given what this one was refused. The answer tells no ended token from a missing right.

        The server keeps every login until its own end, so a secret that is refused for days must not cost one at each read.
        """
        if self._config.vault_auth == "token":
            return False
        if self._token.age_seconds >= RIGHTS_SECONDS:
            await self._send(client, "POST", "auth/token/revoke-self", token, {})
            return True
        return (await self._send(client, "GET", "auth/token/lookup-self", token, {})).status == 403

    async def _current_token(self, client: httpx.AsyncClient) -> str:
        config = self._config
        if config.vault_auth == "token":
            return _secret("vault_token", config.vault_token, config.vault_token_file)
        return self._token.current() or await self._log_in(client)

    async def _log_in(self, client: httpx.AsyncClient) -> str:
        config = self._config
        if config.vault_auth == "approle":
            secret = _secret("vault_secret_id", config.vault_secret_id, config.vault_secret_id_file)
            login = {"role_id": config.vault_role, "secret_id": secret}
        else:
            login = {
                "role": config.vault_role,
                "jwt": read_text(config.vault_kubernetes_token_file or KUBERNETES_TOKEN),
            }
        path = f"auth/{quote(config.vault_auth_mount or config.vault_auth, safe='/')}/login"
        answer = await send(client, "POST", self._url(path), headers=self._headers(), json=login)
        given = _object(answer.body, "auth")
        token, seconds = given.get("client_token"), given.get("lease_duration")
        if answer.ok and isinstance(token, str):
            return self._token.keep(
                token, seconds if isinstance(seconds, int) and seconds else ENDLESS_SECONDS
            )
        if answer.transient:
            raise SecretStoreError(_unavailable(answer), transient=True)
        raise SecretStoreError(
            f"the login {config.vault_auth} is refused ({answer.status}). Check secret_stores.vault_role, its secret or the"
            " bound service account, and the mount of the login."
        )

    def _url(self, path: str) -> str:
        return f"{self._config.vault_address}/v1/{path}"

    def _headers(self) -> dict[str, str]:
        namespace = self._config.vault_namespace
        return {"X-Vault-Request": "true"} | ({"X-Vault-Namespace": namespace} if namespace else {})


def read_text(path: Path) -> str:
    """Return the text of a credential's file, without blanks around it. Raises SecretStoreError."""
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SecretStoreError(
            f"the file {path} with the login cannot be read: {reason}. Check its path and permissions."
        ) from None
    if not text:
        raise SecretStoreError(f"the file {path} with the login is empty. Write the login into it.")
    return text


def _secret(setting: str, value: Any, file: Path | None) -> str:
    if file is not None:
        return read_text(file)
    if value is None:
        raise SecretStoreError(f"neither secret_stores.{setting} nor {setting}_file is set. Set one of them.")
    return str(value.get_secret_value())


def _explain(answer: StoreAnswer, policy: str) -> str:
    if answer.transient:
        return _unavailable(answer)
    match answer.status:
        case 301 | 302 | 307 | 308:
            return (
                "the server redirects, as a standby does to the active one. Set secret_stores.vault_address to that, or to a load"
                f" balancer that knows it ({answer.status})."
            )
        case 403:
            return (
                "the server refuses the token, or its policy. Check that the token has not ended, and give it a policy with"
                f" {policy} (403)."
            )
        case 404:
            return "the server has no such secret, or its newest version is deleted. Check mount, path and namespace (404)."
    return f"the server refuses the request ({answer.status}). Check mount, engine (KV version 2), key and namespace."


def _unavailable(answer: StoreAnswer) -> str:
    if answer.status == 503:
        return "the server is sealed, or in maintenance. Unseal it (503)."
    if answer.status == 429:
        return "the server limits requests. The relay asks again by itself; raise the quota of its mount or namespace (429)."
    return f"the server failed ({answer.status}). Look at its log."


def _object(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = body.get(name)
    return found if isinstance(found, dict) else {}

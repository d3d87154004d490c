"""A token of Google for the relay: of a service account's key, of a user, of a federated identity, or of the machine."""

import json
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from relay.credentials.stores.error import SecretStoreError
from relay.credentials.stores.login_token import LoginToken
from relay.credentials.stores.requests import StoreAnswer, send

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
FILE_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
_METADATA = "169.254.169.254"
_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - the name of a kind


class GoogleLogin:
    """Gets tokens as the application default credentials of Google's libraries do."""

    def __init__(self, environ: Mapping[str, str], wall_clock: Callable[[], float] = time.time) -> None:
        self._environ = environ
        self._wall_clock = wall_clock
        self._token = LoginToken(wall_clock)

    def forget(self) -> None:
        """Forget a token that was refused."""
        self._token.forget()

    async def current(self, client: httpx.AsyncClient) -> str:
        """Return a token. Raises SecretStoreError."""
        if token := self._token.current():
            return token
        path = self._environ.get(FILE_VARIABLE)
        if not path:
            return await self._from_machine(client)
        content = _read_credential(path)
        try:
            match content.get("type"):
                case "service_account":
                    return await self._from_key(client, content)
                case "authorized_user":
                    return await self._from_user(client, content)
                case "external_account":
                    return await self._from_federation(client, content)
        except (KeyError, TypeError, ValueError, JoseError) as error:
            # neither the text of the error nor the content of the file is shown: both may hold the key
            raise SecretStoreError(
                f"the file of {FILE_VARIABLE} is incomplete ({type(error).__name__}). Make it anew."
            ) from None
        raise SecretStoreError(
            f"the file of {FILE_VARIABLE} is of a type that the relay does not use. Use a service account, a user, or an external"
            " account with a file."
        )

    async def _from_machine(self, client: httpx.AsyncClient) -> str:
        host = self._environ.get("GCE_METADATA_HOST", _METADATA)
        url = f"http://{host}/computeMetadata/v1/instance/service-accounts/default/token"
        text = f"this machine has no service account of Google, and {FILE_VARIABLE} is not set. Set up workload identity"
        try:
            answer = await send(client, "GET", url, headers={"Metadata-Flavor": "Google"}, timeout=2.0)
        except SecretStoreError as error:
            raise SecretStoreError(f"{text}.", transient=True) from error
        return self._keep(answer, text)

    async def _from_key(self, client: httpx.AsyncClient, content: Mapping[str, Any]) -> str:
        now = int(self._wall_clock())
        url = content["token_uri"]
        claims = {"iss": content["client_email"], "scope": SCOPE, "aud": url, "iat": now, "exp": now + 3600}
        signed = jwt.encode({"alg": "RS256"}, claims, RSAKey.import_key(content["private_key"]))
        answer = await send(client, "POST", url, data={"grant_type": _JWT_GRANT, "assertion": signed})
        return self._keep(
            answer, "Google rejects the key of the service account. Check that it exists, and the clock"
        )

    async def _from_user(self, client: httpx.AsyncClient, content: Mapping[str, Any]) -> str:
        form = {name: content[name] for name in ("client_id", "client_secret", "refresh_token")}
        url = content.get("token_uri", "https://oauth2.googleapis.com/token")
        answer = await send(client, "POST", url, data={"grant_type": "refresh_token", **form})
        return self._keep(
            answer, "Google rejects the user's login. Sign in again (gcloud auth application-default login)"
        )

    async def _from_federation(self, client: httpx.AsyncClient, content: Mapping[str, Any]) -> str:
        text = "Google does not exchange the token of this workload. Check the provider of the pool and the audience of the token"
        form = {
            "grant_type": _EXCHANGE,
            "audience": content["audience"],
            "scope": SCOPE,
            "requested_token_type": _ACCESS_TOKEN,
            "subject_token_type": content["subject_token_type"],
            "subject_token": _subject_token(content["credential_source"]),
        }
        answer = await send(client, "POST", content["token_url"], data=form)
        url = content.get("service_account_impersonation_url")
        if not answer.ok or not url:
            return self._keep(answer, text)
        headers = {"Authorization": f"Bearer {answer.body['access_token']}"}
        answer = await send(client, "POST", url, json={"scope": [SCOPE]}, headers=headers)
        return self._keep(
            answer, "the workload may not act as the service account. Give it Workload Identity User"
        )

    def _keep(self, answer: StoreAnswer, text: str) -> str:
        """Keep the token of an answer, and return it. `text`: why there may be none."""
        token = answer.body.get("access_token", answer.body.get("accessToken"))
        if not answer.ok or not isinstance(token, str):
            raise SecretStoreError(f"{text} ({answer.status}).", transient=answer.transient)
        return self._token.keep(token, self._lifetime(answer.body))

    def _lifetime(self, body: Mapping[str, Any]) -> float:
        if "expireTime" in body:
            return datetime.fromisoformat(body["expireTime"]).timestamp() - self._wall_clock()
        return float(body.get("expires_in", 0))


def _read_credential(path: str) -> Mapping[str, Any]:
    try:
        content = json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict):
        raise SecretStoreError(
            f"the file {path} of {FILE_VARIABLE} is not a readable JSON object. Check its path and permissions."
        )
    return content


def _subject_token(source: Mapping[str, Any]) -> str:
    """Return the token in the file of a federated identity. Raises KeyError for a source of another kind."""
    try:
        text = Path(source["file"]).read_text("utf-8").strip()
    except OSError:
        raise SecretStoreError(
            f"the file {source['file']} with the token of the workload cannot be read. Check its path."
        ) from None
    form = source.get("format", {})
    return str(json.loads(text)[form["subject_token_field_name"]]) if form.get("type") == "json" else text

"""Google Secret Manager: one request for a version of a secret."""

import base64
from collections.abc import Mapping
from typing import Any

from relay.config.secret_stores import SecretStoresConfig
from relay.credentials.stores.error import SecretStoreError
from relay.credentials.stores.google_login import GoogleLogin
from relay.credentials.stores.reference import StoreReference
from relay.credentials.stores.requests import StoreAnswer, open_client, send

ENDPOINT = "https://secretmanager.googleapis.com"


class SecretManager:
    """Reads secrets of any project with one identity."""

    def __init__(self, config: SecretStoresConfig, environ: Mapping[str, str]) -> None:
        self._endpoint = config.google_endpoint or ENDPOINT
        self._login = GoogleLogin(environ)

    async def read(self, reference: StoreReference) -> str:
        """Return the newest enabled version, or the one that is named. Raises SecretStoreError."""
        parts = reference.parts
        version = parts["version"] or "latest"
        url = f"{self._endpoint}/v1/projects/{parts['project']}/secrets/{parts['name']}/versions/{version}:access"
        answer = await call_google(self._login, "GET", url)
        if not answer.ok:
            raise SecretStoreError(_explain(answer), transient=answer.transient)
        payload = answer.body.get("payload")
        try:
            return (
                base64.b64decode(str(payload["data"]), validate=True).decode()
                if isinstance(payload, dict)
                else ""
            )
        except (KeyError, ValueError):
            raise SecretStoreError("it is not UTF-8 text. Write it as a text.") from None


async def call_google(login: GoogleLogin, method: str, url: str, **options: Any) -> StoreAnswer:
    """Make one request, and another with a new token after a 401. Raises SecretStoreError if no answer came."""
    async with open_client() as client:
        for last in (False, True):
            headers = {"Authorization": f"Bearer {await login.current(client)}"}
            answer = await send(client, method, url, headers=headers, **options)
            if answer.status != 401 or last:
                break
            login.forget()
        return answer


def _explain(answer: StoreAnswer) -> str:
    match answer.status:
        case 400:
            reason = "the version is disabled or destroyed, or the reference is wrong. Enable it, or name another version"
        case 401:
            reason = "Google rejects the token. Check the service account"
        case 403:
            reason = "the service account may not read it, or the API is off. Give it the role Secret Manager Secret Accessor on the secret"
        case 404:
            reason = "Google has no such secret or version. Check project, name and version"
        case 429:
            reason = "Google limits requests. The relay asks again by itself"
        case status if status >= 500:
            reason = "Secret Manager failed. The relay asks again by itself"
        case _:
            reason = "Google refuses the request. Check the reference"
    return f"{reason} ({answer.status})."

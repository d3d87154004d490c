"""Azure Key Vault: one request for a secret, with a token of azure-identity."""

import time
from urllib.parse import quote

from azure.core.exceptions import AzureError

from relay.config.secret_stores import SecretStoresConfig
from relay.credentials.azure import describe_azure_error, open_credential
from relay.credentials.stores.error import SecretStoreError
from relay.credentials.stores.login_token import LoginToken
from relay.credentials.stores.reference import StoreReference
from relay.credentials.stores.requests import StoreAnswer, open_client, send
from relay.errors import SettingsError, one_line

API_VERSION = "7.4"
_SUFFIXES = {"public": "vault.azure.net", "usgov": "vault.usgovcloudapi.net", "china": "vault.azure.cn"}


class KeyVault:
    """Reads secrets of any vault with one identity. The token is kept between reads."""

    def __init__(self, config: SecretStoresConfig) -> None:
        self._config = config
        self._suffix = _SUFFIXES[config.azure_cloud]
        self._token = LoginToken()

    async def read(self, reference: StoreReference) -> str:
        """Return the secret. Raises SecretStoreError."""
        answer = await self.call(reference, "GET", "secrets")
        value = answer.body.get("value")
        if not isinstance(value, str):
            raise SecretStoreError("its answer has no secret. Check that a Key Vault answers there.")
        return value

    async def call(self, reference: StoreReference, method: str, kind: str, **options: object) -> StoreAnswer:
        """Make one request about a secret or a key, and another with a new token after a 401. Raises SecretStoreError."""
        answer = await self._call_once(reference, method, kind, **options)
        if answer.status == 401:
            self._token.forget()
            answer = await self._call_once(reference, method, kind, **options)
        if answer.ok:
            return answer
        raise SecretStoreError(self._explain(answer, reference), transient=answer.transient)

    async def _call_once(
        self, reference: StoreReference, method: str, kind: str, **options: object
    ) -> StoreAnswer:
        vault, name, version = (reference.parts[part] for part in ("vault", "name", "version"))
        base = self._config.azure_endpoint or f"https://{vault}.{self._suffix}"
        action = options.pop("action", "")
        path = "/".join(quote(str(part), safe="") for part in (kind, name, version, action) if part)
        headers = {"Authorization": f"Bearer {await self._current_token()}"}
        async with open_client() as client:
            url = f"{base}/{path}"
            return await send(
                client, method, url, params={"api-version": API_VERSION}, headers=headers, **options
            )

    async def _current_token(self) -> str:
        if token := self._token.current():
            return token
        kind, cloud = self._config.azure_credential, self._config.azure_cloud
        try:
            async with open_credential(kind, cloud) as credential:
                given = await credential.get_token(f"https://{self._suffix}/.default")
        except (AzureError, SettingsError, ValueError, OSError) as error:
            raise SecretStoreError(
                f"Azure gives no token to the credential {kind}: {describe_azure_error(error)} Check"
                " secret_stores.azure_credential and the AZURE_… variables it reads.",
                transient=True,
            ) from error
        return self._token.keep(given.token, given.expires_on - time.time())

    def _explain(self, answer: StoreAnswer, reference: StoreReference) -> str:
        vault = reference.parts["vault"]
        match answer.status:
            case 401:
                reason = "the vault rejects the token. Check that identity and vault are of one tenant (AZURE_TENANT_ID)"
            case 403:
                reason = _forbidden(answer, vault)
            case 404:
                reason = f"the vault {vault} has none of this name and version, or it was deleted. Check the reference"
            case 429:
                reason = f"the vault {vault} is throttled. The relay asks again by itself"
            case status if status >= 500:
                reason = "Key Vault failed. The relay asks again by itself"
            case _:
                reason = "Key Vault refuses the request. Check the reference"
        return f"{reason} ({_quote(answer)})."


def _forbidden(answer: StoreAnswer, vault: str) -> str:
    error = answer.body.get("error")
    inner = error.get("innererror") if isinstance(error, dict) else None
    code = inner.get("code") if isinstance(inner, dict) else None
    if code == "SecretDisabled":
        return "the secret is disabled, or outside of its dates. Enable it, or name another version"
    if code == "ForbiddenByFirewall":
        return f"the firewall of the vault {vault} refuses this address. Allow it, or use a private endpoint"
    return f"the identity may not read it. Give it the role Key Vault Secrets User on the secret or the vault {vault}"


def _quote(answer: StoreAnswer) -> str:
    """Return status and code. The message of the vault is left out: it repeats ids of the identity over many lines."""
    error = answer.body.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return one_line(f"{answer.status} {code}" if isinstance(code, str) else str(answer.status), 80)

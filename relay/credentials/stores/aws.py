"""AWS Secrets Manager and the parameters of Systems Manager: one signed request for a secret."""

import base64
import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from relay.config.secret_stores import SecretStoresConfig
from relay.credentials.stores.aws_credentials import AwsCredentialSource
from relay.credentials.stores.aws_signature import signed_headers
from relay.credentials.stores.error import SecretStoreError
from relay.credentials.stores.reference import StoreReference
from relay.credentials.stores.requests import StoreAnswer, open_client, send
from relay.errors import one_line

_EXPIRED = frozenset({"ExpiredTokenException", "UnrecognizedClientException", "InvalidClientTokenId"})
_THROTTLED = frozenset({"ThrottlingException", "TooManyRequestsException", "LimitExceededException"})
_FAILED = frozenset(
    {"InternalServiceError", "InternalServerError", "KMSInternalException", "DependencyTimeoutException"}
)
_REMEDIES: Mapping[str, str] = {
    "AccessDeniedException": "the role may not read it. Give it {right}",
    "ResourceNotFoundException": "AWS has no such secret in this region and account, or no value of it. Check name and region",
    "ParameterNotFound": "AWS has no such parameter in this region and account. Check name and region",
    "InvalidKeyId": "AWS cannot use the key of the parameter. Enable the key, and allow the role to use it",
    "InvalidRequestException": "the secret is about to be deleted. Restore it",
    "DecryptionFailure": "AWS cannot decrypt it with its key. Enable the key, and allow the role to use it",
    "InvalidCiphertextException": "the key did not wrap this text, or it is incomplete. Wrap the key again",
    "IncorrectKeyException": "the key did not wrap this text. Name the key that did, by its id or ARN, or wrap the key again",
    "NotFoundException": "AWS has no such key in this region and account. Check the key and the region",
    "DisabledException": "the key is disabled. Enable it",
    "KMSInvalidStateException": "the key cannot be used now. Enable it, or cancel its deletion",
    "InvalidSignatureException": "AWS rejects the signature. Check the clock of this machine and AWS_SECRET_ACCESS_KEY",
    "SignatureDoesNotMatch": "AWS rejects the signature. Check AWS_SECRET_ACCESS_KEY",
}


class Aws:
    """Makes signed requests with one key, which is kept between reads."""

    def __init__(
        self,
        config: SecretStoresConfig,
        environ: Mapping[str, str],
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._environ = environ
        self._wall_clock = wall_clock
        self._source = AwsCredentialSource(environ, wall_clock)

    async def read_secret(self, reference: StoreReference) -> str:
        """Return the current version of a secret. Raises SecretStoreError."""
        name, region = reference.parts["name"], reference.parts.get("region", "")
        body = await self.call("secretsmanager", "secretsmanager.GetSecretValue", {"SecretId": name}, region)
        if isinstance(body.get("SecretString"), str):
            return str(body["SecretString"])
        try:
            return base64.b64decode(str(body["SecretBinary"])).decode()
        except (KeyError, ValueError):
            raise SecretStoreError("it is not UTF-8 text. Write it as a text.") from None

    async def read_parameter(self, reference: StoreReference) -> str:
        """Return a parameter, decrypted. Raises SecretStoreError."""
        request = {"Name": reference.parts["name"], "WithDecryption": True}
        parameter = (await self.call("ssm", "AmazonSSM.GetParameter", request)).get("Parameter")
        value = parameter.get("Value") if isinstance(parameter, dict) else None
        if not isinstance(value, str):
            raise SecretStoreError("its answer has no parameter. Check secret_stores.aws_endpoint.")
        return value

    async def call(
        self, service: str, target: str, request: Mapping[str, Any], region: str = ""
    ) -> Mapping[str, Any]:
        """Make one request, and another with a new key if the first is refused. Raises SecretStoreError."""
        region = region or self._region()
        answer = await self._call_once(service, target, request, region)
        if _code(answer) in _EXPIRED:
            self._source.forget()
            answer = await self._call_once(service, target, request, region)
        if answer.ok:
            return answer.body
        code = _code(answer)
        transient = answer.transient or code in _THROTTLED or code in _FAILED
        raise SecretStoreError(
            _explain(answer, code, service, target, transient=transient), transient=transient
        )

    async def _call_once(
        self, service: str, target: str, request: Mapping[str, Any], region: str
    ) -> StoreAnswer:
        body, url = json.dumps(request).encode(), self._url(service, region)
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target}
        async with open_client() as client:
            key = await self._source.current(client, self._url("sts", region))
            signed = signed_headers(key, "POST", url, headers, body, region, service, self._wall_clock())
            return await send(client, "POST", url, headers=signed, content=body)

    def _region(self) -> str:
        region = (
            self._config.aws_region
            or self._environ.get("AWS_REGION")
            or self._environ.get("AWS_DEFAULT_REGION")
        )
        if not region:
            raise SecretStoreError("no region is set. Set secret_stores.aws_region, or AWS_REGION.")
        return region

    def _url(self, service: str, region: str) -> str:
        endpoint = self._config.aws_endpoint
        if endpoint is not None and not _is_of_another_service(str(endpoint), service):
            return f"{endpoint}/"
        domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        return f"https://{service}.{region}.{domain}/"


def _is_of_another_service(endpoint: str, service: str) -> bool:
    """Return whether an address is that of one service alone: `vpce-ID.SERVICE.REGION.vpce.amazonaws.com`."""
    host = urlsplit(endpoint).hostname or ""
    return ".vpce.amazonaws.com" in host and f".{service}." not in host


def _code(answer: StoreAnswer) -> str:
    """Return the name of an error; empty if the answer has none. A namespace may be before it."""
    code = answer.body.get("__type")
    return one_line(code.rpartition("#")[2], 80) if isinstance(code, str) else ""


def _explain(answer: StoreAnswer, code: str, service: str, target: str, *, transient: bool) -> str:
    said = f"({answer.status} {code})" if code else f"({answer.status})"
    if transient:
        reason = "AWS limits requests" if code in _THROTTLED or answer.status == 429 else "AWS failed"
        return f"{reason}. The relay asks again by itself {said}."
    if code in _EXPIRED:
        return f"AWS rejects the key of the relay. Check AWS_ACCESS_KEY_ID, or the role {said}."
    action = f"{service}:{target.rpartition('.')[2]}"
    right = f"{action} on the key" if service == "kms" else f"{action} on it, and kms:Decrypt on its key"
    remedy = _REMEDIES.get(code, "AWS refuses the request. Check name, region and role")
    return f"{remedy.format(right=right)} {said}."

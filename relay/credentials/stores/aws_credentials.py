"""The key that signs requests to AWS: from variables, a web identity (IRSA), a container (EKS, ECS), or the instance (IMDSv2)."""

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import httpx

from relay.credentials.stores.aws_signature import AwsCredentials
from relay.credentials.stores.error import SecretStoreError
from relay.credentials.stores.requests import StoreAnswer, send
from relay.errors import one_line

MARGIN_SECONDS = 300.0
"""A temporary key is replaced this long before its end."""
_ECS = "http://169.254.170.2"
_IMDS = "http://169.254.169.254"
_STS_FAILED = frozenset({"IDPCommunicationError", "Throttling"})
_METADATA_SECONDS = 2.0
"""Time for each step of a request to the instance; elsewhere nobody answers there."""


class AwsCredentialSource:
    """Finds the key in the order of AWS's own libraries, and keeps a temporary one until shortly before its end."""

    def __init__(self, environ: Mapping[str, str], wall_clock: Callable[[], float] = time.time) -> None:
        self._environ = environ
        self._wall_clock = wall_clock
        self._kept: AwsCredentials | None = None

    async def current(self, client: httpx.AsyncClient, sts_url: str) -> AwsCredentials:
        """Return the key. Raises SecretStoreError when none is found."""
        environ = self._environ
        if environ.get("AWS_ACCESS_KEY_ID") and environ.get("AWS_SECRET_ACCESS_KEY"):
            session = environ.get("AWS_SESSION_TOKEN", "")
            return AwsCredentials(environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"], session)
        if self._kept is None or self._wall_clock() > self._kept.expires - MARGIN_SECONDS:
            self._kept = await self._temporary(client, sts_url)
        return self._kept

    def forget(self) -> None:
        """Forget a temporary key that was refused."""
        self._kept = None

    async def _temporary(self, client: httpx.AsyncClient, sts_url: str) -> AwsCredentials:
        environ = self._environ
        if environ.get("AWS_WEB_IDENTITY_TOKEN_FILE") and environ.get("AWS_ROLE_ARN"):
            return await self._web_identity(client, sts_url)
        if full := environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"):
            return await self._container(client, full)
        if relative := environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
            return await self._container(client, f"{_ECS}{relative}")
        if environ.get("AWS_EC2_METADATA_DISABLED", "").lower() != "true":
            return await self._instance(client)
        raise SecretStoreError(
            "no key of AWS is set: neither AWS_ACCESS_KEY_ID nor a role of the pod, the task or the instance. Give the relay a role."
        )

    async def _web_identity(self, client: httpx.AsyncClient, sts_url: str) -> AwsCredentials:
        role = self._environ["AWS_ROLE_ARN"]
        form = {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": "2011-06-15",
            "RoleArn": role,
            "RoleSessionName": self._environ.get("AWS_ROLE_SESSION_NAME", "jira-relay"),
            "WebIdentityToken": _read(self._environ["AWS_WEB_IDENTITY_TOKEN_FILE"]),
        }
        answer = await send(client, "POST", sts_url, data=form)
        body = _elements(answer.text)
        text = f"STS gives no key for the role {role} to the service account. Check the trust policy of the role."
        return _parse(answer, body, "SessionToken", text, body.get("Code", ""))

    async def _container(self, client: httpx.AsyncClient, url: str) -> AwsCredentials:
        file = self._environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
        token = _read(file) if file else self._environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
        answer = await send(client, "GET", url, headers={"Authorization": token} if token else {})
        return _parse(
            answer,
            answer.body,
            "Token",
            "the container has no role. Give the task or the service account one.",
        )

    async def _instance(self, client: httpx.AsyncClient) -> AwsCredentials:
        base = self._environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", _IMDS).rstrip("/")
        text = "the instance has no role, and no other key of AWS is set. Give the relay a role, or set AWS_ACCESS_KEY_ID."
        options = {"timeout": _METADATA_SECONDS}
        try:
            token = await send(
                client,
                "PUT",
                f"{base}/latest/api/token",
                headers={"X-aws-ec2-metadata-token-ttl-seconds": "300"},
                **options,
            )
            headers = {"X-aws-ec2-metadata-token": token.text}
            path = f"{base}/latest/meta-data/iam/security-credentials/"
            role = await send(client, "GET", path, headers=headers, **options)
            if not role.ok:
                raise SecretStoreError(text)
            answer = await send(client, "GET", f"{path}{role.text.split()[0]}", headers=headers, **options)
        except SecretStoreError as error:
            raise SecretStoreError(text, transient=error.transient) from error
        return _parse(answer, answer.body, "Token", text)


def _elements(text: str) -> dict[str, str]:
    """Return the texts of an answer of STS, which is XML, by the names of their elements; empty if it is none."""
    try:
        root = ET.fromstring(text)  # noqa: S314 - expat bounds what entities become, and the answer is bounded
    except ET.ParseError:
        return {}
    return {element.tag.rpartition("}")[2]: element.text or "" for element in root.iter()}


def _parse(answer: StoreAnswer, body: Any, session: str, text: str, code: str = "") -> AwsCredentials:
    names = ("AccessKeyId", "SecretAccessKey", session)
    if (
        not answer.ok
        or not isinstance(body, dict)
        or not all(isinstance(body.get(name), str) for name in names)
    ):
        said = f"{answer.status} {one_line(code, 80)}".strip()
        raise SecretStoreError(
            f"{text.rstrip('.')} ({said}).", transient=answer.transient or code in _STS_FAILED
        )
    return AwsCredentials(body[names[0]], body[names[1]], body[session], _seconds(body.get("Expiration")))


def _seconds(expiration: Any) -> float:
    """Return the end of a key in seconds since 1970, from ISO text. Unknown: it is not kept."""
    try:
        return datetime.fromisoformat(str(expiration)).timestamp()
    except ValueError:
        return 0.0


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        raise SecretStoreError(
            f"the file {path} with the token cannot be read. Check its path and permissions."
        ) from error

"""AWS: Secrets Manager, parameters, KMS, and the four places of a key. Signatures are checked by an implementation of its own."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from simulators.secret_stores.service import StoreService

REGION = "eu-central-1"
KEY = f"arn:aws:kms:{REGION}:123456789012:key/0a1b2c3d-0000-4000-8000-000000000000"
ROLE = "arn:aws:iam::123456789012:role/jira-relay"


class AwsSimulator(StoreService):
    """All services at one address. `denied`: names that the role may not read."""

    def __init__(self) -> None:
        super().__init__(self._serve)
        self.keys: dict[str, tuple[str, str]] = {"AKIALASTING": (secrets.token_hex(20), "")}
        """Secret and session token of each key id."""
        self.values: dict[str, str | bytes] = {}
        self.parameters: dict[str, str] = {}
        self.denied: set[str] = set()
        self.web_token, self.container_token = secrets.token_hex(16), secrets.token_hex(16)
        self.key_seconds = 3600.0
        self.aliases = {"alias/relay": KEY}
        """ARN of the key of KMS behind each alias."""
        self._kms = {KEY: AESGCM(secrets.token_bytes(32))}
        self._imds_token = secrets.token_hex(16)

    @property
    def environment(self) -> dict[str, str]:
        """The variables of the lasting key."""
        return {"AWS_ACCESS_KEY_ID": "AKIALASTING", "AWS_SECRET_ACCESS_KEY": self.keys["AKIALASTING"][0]}

    def revoke_temporary_keys(self) -> None:
        self.keys = {"AKIALASTING": self.keys["AKIALASTING"]}

    async def _serve(self, request: web.Request) -> web.Response:
        if request.path == "/":
            body = await request.read()
            if request.headers.get("X-Amz-Target") is None:
                return self._assume_role(await request.post())
            fault = self._check_signature(request, body)
            return fault or self._answer(request.headers["X-Amz-Target"], json.loads(body))
        if request.path == "/container":
            right = request.headers.get("Authorization") == self.container_token
            return web.json_response(self._new_key("Token") if right else {}, status=200 if right else 403)
        return self._instance(request)

    def _answer(self, target: str, content: dict[str, Any]) -> web.Response:
        name = str(content.get("SecretId") or content.get("Name") or content.get("KeyId") or "")
        if name in self.denied:
            return _error(400, "AccessDeniedException")
        match target:
            case "secretsmanager.GetSecretValue":
                return self._secret(name)
            case "AmazonSSM.GetParameter":
                if name not in self.parameters or not content["WithDecryption"]:
                    return _error(400, "ParameterNotFound")
                return web.json_response({"Parameter": {"Name": name, "Value": self.parameters[name]}})
            case "TrentService.Encrypt" | "TrentService.Decrypt" if self.aliases.get(name, name) in self._kms:
                return self._turn(target, self.aliases.get(name, name), content)
        return _error(400, "NotFoundException")

    def _secret(self, name: str) -> web.Response:
        value = self.values.get(name)
        if value is None:
            return _error(400, "com.amazonaws.secretsmanager#ResourceNotFoundException")
        if isinstance(value, bytes):
            return web.json_response({"SecretBinary": base64.b64encode(value).decode()})
        return web.json_response({"SecretString": value})

    def move_alias(self, alias: str) -> None:
        """Point an alias to a new key. The old key stays."""
        self.aliases[alias] = f"{KEY[:-1]}{len(self._kms)}"
        self._kms[self.aliases[alias]] = AESGCM(secrets.token_bytes(32))

    def _turn(self, target: str, key: str, content: dict[str, Any]) -> web.Response:
        context = json.dumps(content.get("EncryptionContext"), sort_keys=True).encode()
        if target.endswith("Encrypt"):
            nonce = secrets.token_bytes(12)
            sealed = nonce + self._kms[key].encrypt(nonce, base64.b64decode(content["Plaintext"]), context)
            return web.json_response({"CiphertextBlob": base64.b64encode(sealed).decode(), "KeyId": key})
        sealed = base64.b64decode(content["CiphertextBlob"])
        try:
            plain = self._kms[key].decrypt(sealed[:12], sealed[12:], context)
        except Exception:  # noqa: BLE001 - as the service: any fault is one answer
            return _error(400, "InvalidCiphertextException")
        return web.json_response({"Plaintext": base64.b64encode(plain).decode(), "KeyId": key})

    def _assume_role(self, form: Any) -> web.Response:
        if form["WebIdentityToken"] != self.web_token or form["RoleArn"] != ROLE:
            return _xml(403, "ErrorResponse", "<Error><Type>Sender</Type><Code>AccessDenied</Code></Error>")
        parts = "".join(f"<{name}>{text}</{name}>" for name, text in self._new_key("SessionToken").items())
        result = f"<Credentials>{parts}</Credentials>"
        return _xml(
            200,
            "AssumeRoleWithWebIdentityResponse",
            f"<AssumeRoleWithWebIdentityResult>{result}</AssumeRoleWithWebIdentityResult>",
        )

    def _instance(self, request: web.Request) -> web.Response:
        if request.method == "PUT":
            return web.Response(text=self._imds_token)
        if request.headers.get("X-aws-ec2-metadata-token") != self._imds_token:
            return web.Response(status=401)
        if request.path.endswith("/security-credentials/"):
            return web.Response(text="jira-relay\n")
        return web.json_response(self._new_key("Token"))

    def _new_key(self, session: str) -> dict[str, Any]:
        name, secret, token = f"ASIA{secrets.token_hex(6)}", secrets.token_hex(20), secrets.token_hex(20)
        self.keys[name] = (secret, token)
        end = time.time() + self.key_seconds
        expiration = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))
        return {"AccessKeyId": name, "SecretAccessKey": secret, session: token, "Expiration": expiration}

    def _check_signature(self, request: web.Request, body: bytes) -> web.Response | None:
        """Compute the signature of a request from its parts. None: it is right."""
        given = request.headers["Authorization"]
        parts = dict(
            part.strip().split("=", 1) for part in given.removeprefix("AWS4-HMAC-SHA256 ").split(",")
        )
        key_id, day, region, service, end = parts["Credential"].split("/")
        if key_id not in self.keys:
            return _error(400, "UnrecognizedClientException")
        secret, session = self.keys[key_id]
        if request.headers.get("X-Amz-Security-Token", "") != session:
            return _error(400, "ExpiredTokenException")
        canonical = f"{request.method}\n/\n\n"
        for name in parts["SignedHeaders"].split(";"):
            canonical += f"{name}:{request.headers[name]}\n"
        canonical += f"\n{parts['SignedHeaders']}\n{hashlib.sha256(body).hexdigest()}"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{request.headers['X-Amz-Date']}\n{day}/{region}/{service}/{end}\n{digest}"
        key = _mac(_mac(_mac(_mac(f"AWS4{secret}".encode(), day), region), service), end)
        right = _mac(key, text).hex() == parts["Signature"] and region == REGION and end == "aws4_request"
        return None if right else _error(400, "InvalidSignatureException")


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _xml(status: int, name: str, content: str) -> web.Response:
    """Return an answer of STS, whose elements are in a namespace."""
    text = f'<{name} xmlns="https://sts.amazonaws.com/doc/2011-06-15/">{content}</{name}>'
    return web.Response(status=status, text=text, content_type="text/xml")


def _error(status: int, code: str) -> web.Response:
    body = {"__type": code, "message": "User: arn:aws:sts::123456789012:assumed-role/x is not authorized"}
    return web.Response(status=status, text=json.dumps(body), content_type="application/x-amz-json-1.1")

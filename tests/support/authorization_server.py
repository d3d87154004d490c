"""A simulated authorization server: client credentials in, signed tokens out, and the file of keys that Kafka checks them with."""

import base64
import json
import time
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote_plus

from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from simulators.fault_script import FaultScript

AUDIENCE, ISSUER_NAME, KEY_ID = "kafka", "simulated-issuer", "key-1"


class SigningKey:
    """Signs tokens; writes its public key into `keys_file` as a JWK set."""

    def __init__(self, keys_file: Path) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        keys_file.write_text(json.dumps({"keys": [_public_jwk(self._key)]}))

    def sign(self, claims: dict[str, Any]) -> str:
        head = _base64url(json.dumps({"alg": "RS256", "typ": "JWT", "kid": KEY_ID}).encode())
        signed = f"{head}.{_base64url(json.dumps(claims).encode())}"
        return f"{signed}.{_base64url(self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


class AuthorizationServer:
    """`async with AuthorizationServer(key)`. `requests` holds client and form of each request, in order."""

    client_id = "jira-relay"
    client_secret = "s3cret/with+signs=and%more"

    def __init__(self, key: SigningKey) -> None:
        self._key = key
        self.faults = FaultScript()
        self.requests: list[tuple[tuple[str, ...], dict[str, Any]]] = []
        self.issued_tokens: list[str] = []
        self.audience = AUDIENCE
        self.token_seconds = 300

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.add_routes([web.post("/token", self._serve)])
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/token"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        form = dict(await request.post())
        client = _parse_basic(request.headers.get("Authorization", ""))
        self.requests.append((client, form))
        fault = self.faults.next_fault(request)
        return await (
            fault.play(request, lambda: self._serve_normally(client, form))
            if fault
            else self._serve_normally(client, form)
        )

    async def _serve_normally(self, client: tuple[str, ...], form: dict[str, Any]) -> web.Response:
        if form.get("grant_type") != "client_credentials":
            return web.json_response({"error": "unsupported_grant_type"}, status=400)
        if client != (self.client_id, self.client_secret):
            refusal = {"error": "invalid_client", "error_description": "Bad\nclient credentials"}
            return web.json_response(refusal, status=401)
        token = self.issue_token()
        return web.json_response(
            {"access_token": token, "token_type": "Bearer", "expires_in": self.token_seconds}
        )

    def issue_token(self) -> str:
        now = int(time.time())
        times = {"iat": now - 1, "exp": now + self.token_seconds}
        self.issued_tokens.append(
            self._key.sign({"sub": "relay", "iss": ISSUER_NAME, "aud": self.audience, **times})
        )
        return self.issued_tokens[-1]


def _parse_basic(header: str) -> tuple[str, ...]:
    """Return id and secret of HTTP Basic, both form-encoded. Source: RFC 6749, 2.3.1."""
    pair = base64.b64decode(header.removeprefix("Basic ")).decode()
    return tuple(unquote_plus(part) for part in pair.split(":"))


def _public_jwk(key: rsa.RSAPrivateKey) -> dict[str, str]:
    numbers = key.public_key().public_numbers()
    return {
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": KEY_ID,
        "n": _encode_integer(numbers.n),
        "e": _encode_integer(numbers.e),
    }


def _encode_integer(number: int) -> str:
    return _base64url(number.to_bytes((number.bit_length() + 7) // 8))


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")

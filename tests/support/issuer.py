"""A simulated authorization server: client credentials in, signed tokens out, and the file of keys that Kafka checks them with."""

import base64
import json
import time
from urllib.parse import unquote_plus

from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from simulators.faults import Script

AUDIENCE, NAME, KEY_ID = "kafka", "simulated-issuer", "key-1"


class SigningKey:
    def __init__(self, keys_file):
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        keys_file.write_text(json.dumps({"keys": [_public(self._key)]}))

    def sign(self, claims):
        head = _part(json.dumps({"alg": "RS256", "typ": "JWT", "kid": KEY_ID}).encode())
        signed = f"{head}.{_part(json.dumps(claims).encode())}"
        return f"{signed}.{_part(self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


class Issuer:
    """`async with Issuer(key)`. Who asked with which form stands in `asked`, in order; `faults` is its script."""

    client_id = "jira-relay"
    client_secret = "s3cret/with+signs=and%more"

    def __init__(self, key):
        self._key = key
        self.faults = Script()
        self.asked = []
        self.given = []
        self.audience = AUDIENCE
        self.token_seconds = 300

    async def __aenter__(self):
        application = web.Application()
        application.add_routes([web.post("/token", self._serve)])
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/token"
        return self

    async def __aexit__(self, *_):
        await self._runner.cleanup()

    async def _serve(self, request):
        form = dict(await request.post())
        client = _client(request.headers.get("Authorization", ""))
        self.asked.append((client, form))
        fault = self.faults.next(request)
        return await (
            fault.play(request, lambda: self._honest(client, form)) if fault else self._honest(client, form)
        )

    async def _honest(self, client, form):
        if form.get("grant_type") != "client_credentials":
            return web.json_response({"error": "unsupported_grant_type"}, status=400)
        if client != (self.client_id, self.client_secret):
            refusal = {"error": "invalid_client", "error_description": "Bad\nclient credentials"}
            return web.json_response(refusal, status=401)
        token = self.token()
        return web.json_response(
            {"access_token": token, "token_type": "Bearer", "expires_in": self.token_seconds}
        )

    def token(self):
        now = int(time.time())
        times = {"iat": now - 1, "exp": now + self.token_seconds}
        self.given.append(self._key.sign({"sub": "relay", "iss": NAME, "aud": self.audience, **times}))
        return self.given[-1]


def _client(header):
    """Id and secret, of HTTP Basic with both form-encoded (RFC 6749, 2.3.1)."""
    pair = base64.b64decode(header.removeprefix("Basic ")).decode()
    return tuple(unquote_plus(part) for part in pair.split(":"))


def _public(key):
    numbers = key.public_key().public_numbers()
    return {
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": KEY_ID,
        "n": _number(numbers.n),
        "e": _number(numbers.e),
    }


def _number(number):
    return _part(number.to_bytes((number.bit_length() + 7) // 8))


def _part(raw):
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")

"""An identity provider that answers in memory, and that can be made to answer wrongly."""

import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from pydantic import SecretStr

from console.oidc import OidcLogin
from console.oidc_provider import ProviderClient
from relay.config.console import ConsoleConfig

ISSUER = "https://login.example"
CLIENT_ID, CLIENT_SECRET = "jira-relay", "secret of the client"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class MemoryProvider:
    """A provider of one person. `changes`: claims that replace those of the id token; None leaves a claim out."""

    claims: dict[str, Any] = field(
        default_factory=lambda: {"email": "anna@example.com", "roles": ["jira-relay-operator"]}
    )
    changes: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    key: Any = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    signing_key: Any = None
    algorithm: str = "RS256"
    fails: bool = False
    requests: list[str] = field(default_factory=list)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def authorize(self, url: str) -> dict[str, str]:
        """Sign the person in as the login form does; return the query of the redirect."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{len(self._codes)}"
        self._codes[code] = asked
        return {"code": code, "state": asked["state"], "iss": ISSUER}

    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def login(self, **fields: Any) -> OidcLogin:
        """Return the sign-in of a console at this provider. `fields`: settings."""
        values = {"oidc_client_id": CLIENT_ID, "oidc_client_secret": SecretStr(CLIENT_SECRET)}
        config = ConsoleConfig(oidc_issuer=ISSUER, **(values | fields))
        return OidcLogin(config, ProviderClient(config, now_ms, self.transport()), now_ms)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request.url.path)
        if self.fails:
            raise httpx.ConnectError("refused", request=request)
        match request.url.path:
            case "/.well-known/openid-configuration":
                return httpx.Response(200, json=self._metadata())
            case "/keys":
                return httpx.Response(200, json=KeySet([self.key]).as_dict(private=False))
            case "/token":
                return self._token(request)
        return httpx.Response(404)

    def _metadata(self) -> dict[str, Any]:
        return {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/authorize",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/keys",
            "end_session_endpoint": f"{ISSUER}/end",
            "authorization_response_iss_parameter_supported": True,
        } | self.metadata

    def _token(self, request: httpx.Request) -> httpx.Response:
        form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        asked = self._codes.pop(form.get("code", ""), None)
        if asked is None or asked["redirect_uri"] != form["redirect_uri"]:
            return httpx.Response(400, json={"error": "invalid_grant"})
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if _base64(digest) != asked["code_challenge"]:
            return httpx.Response(400, json={"error": "invalid_grant"})
        return httpx.Response(
            200, json={"access_token": "a", "token_type": "Bearer", "id_token": self._id_token(asked)}
        )

    def _id_token(self, asked: dict[str, str]) -> str:
        now = now_ms() // 1000
        claims = {
            "iss": ISSUER,
            "sub": "1",
            "aud": CLIENT_ID,
            "exp": now + 300,
            "iat": now,
            "nonce": asked["nonce"],
            **self.claims,
            **self.changes,
        }
        kept = {name: value for name, value in claims.items() if value is not None}
        key = self.signing_key or self.key
        if self.algorithm in {"none", "HS256"}:
            parts = ({"alg": self.algorithm, "kid": self.key.kid}, kept)
            text = ".".join(_base64(json.dumps(each).encode()) for each in parts)
            by_public_key = hmac.digest(self.key.as_pem(private=False), text.encode(), "sha256")
            return f"{text}.{'' if self.algorithm == 'none' else _base64(by_public_key)}"
        header = {"alg": self.algorithm, "kid": key.kid or self.key.kid}
        return jwt.encode(header, kept, key, algorithms=[self.algorithm])


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")

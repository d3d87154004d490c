"""Signing in at an identity provider: OpenID Connect, authorization code with PKCE. Times are ms UTC, given by the caller.

Signatures are checked by joserfc, claims by Authlib; both are asked for what OpenID Connect Core 3.1.3.7 requires.
"""

import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from console.auth import LoginThrottle, clean_name
from console.oidc_provider import OidcError, ProviderClient
from console.permissions import AccessRole
from relay.config.console import ConsoleConfig
from relay.errors import one_line

ATTEMPT_MS = 600_000
SKEW_SECONDS = 60
CALLBACK = "/login/callback"
_SIGNATURES = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "Ed25519",
    "EdDSA",
)
"""Signatures by a key of the provider alone: with `none` or HS256 a token could be made by others."""


@dataclass(frozen=True, slots=True)
class SignInAttempt:
    """What the browser keeps of a sign-in that has begun, in a signed cookie. `expires`: ms UTC."""

    state: str
    nonce: str
    verifier: str
    expires: int


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody whom the provider has signed in."""

    name: str
    role: AccessRole


class UnknownAttemptError(OidcError):
    """The answer belongs to no sign-in of this browser; the provider was not asked."""


class RoleMissingError(OidcError):
    """The provider signed a person in who has no role here."""


class OidcLogin:
    """The sign-in of one console. `origin` of its methods: that under which the browser reaches the console."""

    def __init__(self, config: ConsoleConfig, provider: ProviderClient, now_ms: Callable[[], int]) -> None:
        self._config = config
        self._provider = provider
        self._now_ms = now_ms
        self.throttle = LoginThrottle(per_address=20)
        """Of refused answers: each asks the provider, and behind a proxy all have one address."""

    async def close(self) -> None:
        await self._provider.close()

    async def begin(self, origin: str) -> tuple[str, SignInAttempt]:
        """Return the address at the provider that the browser goes to, and the attempt. Raises OidcError."""
        metadata = await self._provider.metadata()
        attempt = SignInAttempt(
            secrets.token_urlsafe(24),
            secrets.token_urlsafe(24),
            secrets.token_urlsafe(48),
            self._now_ms() + ATTEMPT_MS,
        )
        query = {
            "response_type": "code",
            "client_id": self._config.oidc_client_id,
            "redirect_uri": origin + CALLBACK,
            "scope": self._config.oidc_scope,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": create_s256_code_challenge(attempt.verifier),
            "code_challenge_method": "S256",
        }
        endpoint = metadata.authorization_endpoint
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}", attempt

    async def finish(self, attempt: SignInAttempt | None, answer: Mapping[str, str], origin: str) -> Person:
        """Return the person whom the provider has signed in. `answer`: the query of its redirect. Raises OidcError.

        The state is compared before anything of the answer is believed, so that no other site can end an attempt.
        """
        state = answer.get("state", "")
        if attempt is None or not hmac.compare_digest(state.encode(), attempt.state.encode()):
            raise UnknownAttemptError(
                "This sign-in did not begin in this browser, or is older than ten minutes."
            )
        metadata = await self._provider.metadata()
        issuer = answer.get("iss")
        if issuer != metadata.issuer and (issuer is not None or metadata.names_itself):
            raise OidcError("The answer comes from another identity provider than the sign-in was begun at.")
        if "error" in answer:
            said = one_line(f"{answer['error']} {answer.get('error_description', '')}", 200)
            raise OidcError(f"The identity provider refused the sign-in: {said}.")
        id_token = await self._provider.exchange(answer.get("code", ""), attempt.verifier, origin + CALLBACK)
        return self._person(await self._claims(id_token, attempt.nonce))

    async def sign_out_url(self, origin: str) -> str | None:
        """Return the address that ends the session at the provider. None: it has none, or is not reached."""
        try:
            endpoint = (await self._provider.metadata()).end_session_endpoint
        except OidcError:
            return None
        query = {"client_id": self._config.oidc_client_id, "post_logout_redirect_uri": f"{origin}/login"}
        return None if endpoint is None else f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    async def _claims(self, id_token: str, nonce: str) -> Mapping[str, Any]:
        """Return the claims of an id token that is for this console, from this provider, and of this attempt."""
        try:
            try:
                found = _decode(id_token, await self._provider.keys())
            except InvalidKeyIdError:  # the provider has a new key
                found = _decode(id_token, await self._provider.keys(again=True))
            claims = CodeIDToken(
                found.claims,
                found.header,
                {
                    "iss": {"essential": True, "value": self._provider.issuer},
                    "aud": {"essential": True, "value": self._config.oidc_client_id},
                },
                {"nonce": nonce, "client_id": self._config.oidc_client_id},
            )
            claims.validate(now=self._now_ms() // 1000, leeway=SKEW_SECONDS)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise OidcError(
                f"The identity provider's id token is not accepted: {one_line(str(error), 200)}. If this lasts, compare the clocks of"
                " both machines, and console.oidc_client_id."
            ) from error
        return dict(claims)

    def _person(self, claims: Mapping[str, Any]) -> Person:
        config = self._config
        name = clean_name(str(claims.get(config.oidc_name_claim) or ""))
        if name is None:
            raise OidcError(
                f"The id token has no usable claim {config.oidc_name_claim}, which names the person in the history of changes. Set"
                " console.oidc_name_claim to one that it has."
            )
        given = set(_values(claims, config.oidc_role_claim))
        if given & set(config.oidc_operator_roles):
            return Person(name, AccessRole.OPERATOR)
        if given & set(config.oidc_viewer_roles):
            return Person(name, AccessRole.VIEWER)
        wanted = ", ".join((*config.oidc_viewer_roles, *config.oidc_operator_roles))
        raise RoleMissingError(
            f"{name} has no role here. The claim {config.oidc_role_claim} must have one of: {wanted}. Ask the people who run the"
            " identity provider for it."
        )


def _decode(id_token: str, keys: KeySet) -> jwt.Token:
    registry = JWSRegistry(algorithms=list(_SIGNATURES), strict_check_header=False)
    return jwt.decode(id_token, keys, registry=registry)


def _values(claims: Mapping[str, Any], path: str) -> list[str]:
    """Return the texts of a claim: those of a list, or the words of a text."""
    value: Any = claims.get(path)
    if value is None:
        value = claims
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, str):
        return value.split()
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []

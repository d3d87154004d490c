"""Access to a simulated site: users, tokens and their scopes."""

import base64
import binascii
from dataclasses import dataclass

from simulators.jira_cloud import responses
from simulators.jira_cloud.responses import CannedResponse

AUDIT_SCOPES = (
    frozenset({"manage:jira-configuration"}),
    frozenset({"read:audit-log:jira", "read:user:jira"}),
)
"""A scoped token may read the audit log if it has one of these sets.

Source: Jira Cloud REST API, "Get audit records", classic and granular scopes.
"""
MYSELF_SCOPES = (
    frozenset({"read:jira-user"}),
    frozenset({"read:application-role:jira", "read:group:jira", "read:user:jira", "read:avatar:jira"}),
)


@dataclass(frozen=True, slots=True)
class Grant:
    """The rights of a token. `scopes` None: an unscoped token, which only the site accepts."""

    user: str
    scopes: frozenset[str] | None
    administrator: bool


class AccessControl:
    """The tokens of one site. Checks an Authorization header as the site or the gateway does."""

    def __init__(self) -> None:
        self.captcha_after_failures: int | None = None
        self._grants: dict[str, Grant] = {}
        self._failed_logins: dict[str, int] = {}

    def grant(self, token: str, grant: Grant) -> None:
        self._grants[token] = grant

    def revoke(self, token: str) -> None:
        self._grants.pop(token, None)

    def clear_captcha(self) -> None:
        """Forget the failed logins, as a login with a browser does."""
        self._failed_logins.clear()

    def authenticate_at_site(self, authorization: str | None) -> Grant | CannedResponse:
        """Return the rights of an unscoped token, or the site's refusal."""
        if authorization is None:
            return responses.NO_CREDENTIALS
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return responses.CONNECT_TOKEN
        user, token = _decode_basic(value) if scheme.lower() == "basic" else ("", "")
        if (
            self.captcha_after_failures is not None
            and self._failed_logins.get(user, 0) >= self.captcha_after_failures
        ):
            return responses.CAPTCHA
        grant = self._grants.get(token)
        if grant is None or grant.user != user or grant.scopes is not None:
            self._failed_logins[user] = self._failed_logins.get(user, 0) + 1
            return responses.WRONG_CREDENTIALS
        self._failed_logins.pop(user, None)
        return grant

    def authenticate_at_gateway(
        self, authorization: str | None, required_scopes: tuple[frozenset[str], ...]
    ) -> Grant | CannedResponse:
        """Return the rights of a scoped token, or the gateway's refusal. It needs one of `required_scopes`."""
        scheme, _, value = (authorization or "").partition(" ")
        user, token = (None, value) if scheme.lower() == "bearer" else _decode_basic(value)
        grant = self._grants.get(token)
        if grant is None or grant.scopes is None or user not in (None, grant.user):
            return responses.GATEWAY_WRONG_CREDENTIALS
        if not any(scopes <= grant.scopes for scopes in required_scopes):
            return responses.GATEWAY_SCOPE
        return grant


def _decode_basic(value: str) -> tuple[str, str]:
    try:
        user, _, token = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, token

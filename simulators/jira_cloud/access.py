import base64
import binascii
from dataclasses import dataclass

from simulators.jira_cloud import responses
from simulators.jira_cloud.responses import Answer

AUDIT_SCOPES = (
    frozenset({"manage:jira-configuration"}),
    frozenset({"read:audit-log:jira", "read:user:jira"}),
)
"""One of these sets lets a scoped token read the audit log."""
MYSELF_SCOPES = (
    frozenset({"read:jira-user"}),
    frozenset({"read:application-role:jira", "read:group:jira", "read:user:jira", "read:avatar:jira"}),
)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token is good for. `scopes` None: an unscoped token, good at the site and nowhere else."""

    user: str
    scopes: frozenset[str] | None
    administrator: bool


class Access:
    """The tokens of one site, and what each door says to an Authorization header."""

    def __init__(self) -> None:
        self.captcha_after: int | None = None
        self._grants: dict[str, Grant] = {}
        self._failures: dict[str, int] = {}

    def grant(self, token: str, grant: Grant) -> None:
        self._grants[token] = grant

    def revoke(self, token: str) -> None:
        self._grants.pop(token, None)

    def clear_captcha(self) -> None:
        """As somebody does by logging in with a browser."""
        self._failures.clear()

    def at_site(self, authorization: str | None) -> Grant | Answer:
        if authorization is None:
            return responses.NO_CREDENTIALS
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return responses.CONNECT_TOKEN
        user, token = _basic(value) if scheme.lower() == "basic" else ("", "")
        if self.captcha_after is not None and self._failures.get(user, 0) >= self.captcha_after:
            return responses.CAPTCHA
        grant = self._grants.get(token)
        if grant is None or grant.user != user or grant.scopes is not None:
            self._failures[user] = self._failures.get(user, 0) + 1
            return responses.WRONG_CREDENTIALS
        self._failures.pop(user, None)
        return grant

    def at_gateway(self, authorization: str | None, needed: tuple[frozenset[str], ...]) -> Grant | Answer:
        scheme, _, value = (authorization or "").partition(" ")
        user, token = (None, value) if scheme.lower() == "bearer" else _basic(value)
        grant = self._grants.get(token)
        if grant is None or grant.scopes is None or user not in (None, grant.user):
            return responses.GATEWAY_WRONG_CREDENTIALS
        if not any(scopes <= grant.scopes for scopes in needed):
            return responses.GATEWAY_SCOPE
        return grant


def _basic(value: str) -> tuple[str, str]:
    try:
        user, _, token = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, token

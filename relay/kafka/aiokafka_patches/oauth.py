"""A login by OAUTHBEARER that notices when the broker rejects the token."""

from aiokafka import conn
from aiokafka.conn import OAuthAuthenticator


class _RejectionAwareAuthenticator(OAuthAuthenticator):  # type: ignore[misc]
    """End a rejected login, and have the token provider replace the token.

    aiokafka's own class takes any answer for an acceptance, and keeps a connection that the broker is about to close.
    A broker that rejects a token sends the reason, then waits for one byte (RFC 7628, 3.2.3).
    The token provider must have a method `reject()`.
    """

    async def step(self, payload: bytes | None) -> tuple[bytes, bool] | None:
        if payload:
            self._sasl_oauth_token_provider.reject()
            return b"\x01", True
        step: tuple[bytes, bool] | None = await super().step(payload)
        return step


def patch_oauth_login() -> None:
    """Replace the authenticator in every later connection of this process. A second call changes nothing."""
    conn.OAuthAuthenticator = _RejectionAwareAuthenticator

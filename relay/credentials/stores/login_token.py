"""The token of a login, kept between the reads of a store."""

import time
from collections.abc import Callable

MARGIN_SECONDS = 60.0
"""A token is replaced this long before its end."""


class LoginToken:
    """The last token of one login. Several reads at a time may each log in once."""

    def __init__(self, wall_clock: Callable[[], float] = time.time) -> None:
        self._wall_clock = wall_clock
        self._text = ""
        self._issued = self._expires = 0.0

    @property
    def age_seconds(self) -> float:
        """Seconds since the login; meaningless without a token."""
        return self._wall_clock() - self._issued

    def current(self) -> str:
        """Return the token; empty: a login is needed."""
        return self._text if self._wall_clock() < self._expires - MARGIN_SECONDS else ""

    def keep(self, text: str, lifetime_seconds: float) -> str:
        """Keep a new token for its lifetime from now, and return it."""
        self._issued = self._wall_clock()
        self._text, self._expires = text, self._issued + lifetime_seconds
        return text

    def forget(self) -> None:
        """Forget a token that was refused."""
        self._text, self._expires = "", 0.0

"""TLS sessions of hosts, so that the next connection to a host needs no signature and no chain of certificates.

A handshake is most of the CPU time of a request to a host that is asked once a minute.
"""

import ssl
import time
from dataclasses import dataclass, field
from typing import Any, cast

Host = tuple[str, str, int | None]
"""Scheme, name and port."""

SESSION_SECONDS = 3600.0
"""How long a session is resumed. Its certificate is not looked at meanwhile, so one that has expired is noticed an hour late."""


@dataclass(slots=True)
class TlsSessions:
    """The sessions of one context: of at most `most` hosts, each for connections to its own host alone."""

    context: ssl.SSLContext
    most: int
    _kept: dict[Host, tuple[ssl.SSLSession | None, float]] = field(default_factory=dict)
    """With the time (monotonic) at which each ends; the earliest first. None: meanwhile the host gets whole handshakes."""

    def context_for(self, host: Host) -> ssl.SSLContext:
        """Return the context of the next connection to a host: it resumes the session, if there is one."""
        session, ends = self._kept.get(host, (None, 0.0))
        if session is None or ends <= time.monotonic():
            return self.context
        # asyncio takes no session, and asks a context for nothing but `wrap_bio`.
        return cast("ssl.SSLContext", _ResumingContext(self.context, session))

    def keep(self, host: Host, connection: ssl.SSLObject | None) -> None:
        """Keep the session of a connection that has had an answer: TLS 1.3 sends the tickets after the handshake.

        A resumed one is not kept again: each session begins with a certificate that was verified.
        """
        if connection is None or connection.session_reused:
            return
        session, (kept, ends) = connection.session, self._kept.get(host, (None, 0.0))
        is_refused = kept is None and ends > time.monotonic()
        if session is not None and session.has_ticket and not is_refused:
            self._put(host, session)

    def note_broken(self, host: Host) -> None:
        """Resume no session of a host for the time of one, if one was kept: a resumed connection broke before its answer.

        A server should answer an unknown session by a whole handshake. One that breaks off would do so at each request.
        """
        if host in self._kept:
            self._put(host, None)

    def _put(self, host: Host, session: ssl.SSLSession | None) -> None:
        self._kept.pop(host, None)
        self._kept[host] = session, time.monotonic() + SESSION_SECONDS
        if len(self._kept) > self.most:
            del self._kept[next(iter(self._kept))]


@dataclass(frozen=True, slots=True)
class _ResumingContext:
    context: ssl.SSLContext
    session: ssl.SSLSession

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, **options: Any) -> ssl.SSLObject:
        return self.context.wrap_bio(incoming, outgoing, **options, session=self.session)

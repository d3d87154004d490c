"""A TLS context of files that an operator may replace while the relay runs."""

import contextlib
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

from relay.file_stamps import file_stamps
from relay.followed_value import FollowedValue


class RotatedContext(ssl.SSLContext):
    """A client's context with the certificates that its files have now: connections that begin later use a changed file.

    Files that cannot be used, such as a half-written one, or a certificate without its new key, leave the certificates of before.
    HTTP clients keep one context for ever, and ask it for `wrap_bio` at each connection: this one passes that on to a context
    that it makes anew.
    """

    def __new__(cls, *_args: Any) -> Self:
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, files: Sequence[Path], create: Callable[[], ssl.SSLContext]) -> None:
        """Raises the error of `create`: OSError, ValueError or RelayError for files that cannot be used."""
        self._create = create
        self._alpn: list[str] = []
        self._followed = FollowedValue(
            "Certificate files",
            lambda: file_stamps(files),
            self._load,
            {"files": [str(each) for each in files]},
        )

    def _load(self) -> ssl.SSLContext:
        context = self._create()
        if self._alpn:
            context.set_alpn_protocols(self._alpn)
        return context

    def reload(self) -> None:
        """Read the files now. Raises the error of `create`, and goes on with the certificates of before."""
        self._followed.reload()

    def current(self) -> ssl.SSLContext:
        """Return the context of a connection that begins now."""
        return self._followed.current()

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Begin a connection. A session of the context of before is not resumed: its certificate may count no more."""
        context = self.current()
        begin = partial(context.wrap_bio, incoming, outgoing, server_side, server_hostname)
        if session is not None:
            with contextlib.suppress(ValueError):
                return begin(session)
        return begin()

    def set_alpn_protocols(self, alpn_protocols: Any) -> None:
        """Set the protocols of the contexts of now and later."""
        self._alpn = list(alpn_protocols)
        self.current().set_alpn_protocols(self._alpn)

"""HTTP connections of browsers and scripts, none of which keeps its place without a request, or without reading its answer."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

LEAST_READ_BYTES = 64 * 1024
"""That a client reads while the console waits for it once: 2 KB a second with the wait of 30 s."""


class BoundedProtocol(H11Protocol):
    """uvicorn's protocol, with an end to the wait for the whole head of each request, and for a client that does not read.

    uvicorn ends a connection that stays idle after an answer. One that never sends a whole head, or does not read its answer,
    would keep its place and its memory for ever, and enough of them keep everybody else out.
    """

    def __init__(self, *arguments: Any, head_seconds: float, read_seconds: float, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_seconds = head_seconds
        self._read_seconds = read_seconds
        self._head_timer: asyncio.TimerHandle | None = None
        self._read_timer: asyncio.TimerHandle | None = None
        self._unread = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def on_response_complete(self) -> None:
        self._await_head()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_reader()
        if self._head_timer is not None:
            self._head_timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self._forget_reader()
        super().resume_writing()

    def _await_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
        self._head_timer = self.loop.call_later(self._head_seconds, self._end_without_head)

    def _end_without_head(self) -> None:
        if self._read_timer is not None:
            self._await_head()  # the answer is still being read, and has an end of its own
            return
        asked = self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr]
        if asked:
            return
        if (
            unread := self.transport.get_write_buffer_size()
        ):  # the end of an answer, too short to pause the writing
            self._await_reader(unread)
            self._await_head()
            return
        # No farewell: a peer that reads nothing would keep the connection open while it waits to be written.
        self.transport.abort()

    def _await_reader(self, unread: int) -> None:
        self._forget_reader()
        self._unread = unread
        self._read_timer = self.loop.call_later(self._read_seconds, self._end_unread)

    def _end_unread(self) -> None:
        """End the connection of a client that has read too little since the last look: nothing is written meanwhile."""
        unread = self.transport.get_write_buffer_size()
        if not unread:
            self._forget_reader()
        elif self._unread - unread < LEAST_READ_BYTES:
            self.transport.abort()
        else:
            self._await_reader(unread)

    def _forget_reader(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None

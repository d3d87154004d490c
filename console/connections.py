"""HTTP connections of browsers and scripts, none of which keeps its place without a request."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


class BoundedHeadProtocol(H11Protocol):
    """uvicorn's protocol, with an end to the wait for the whole head of each request.

    uvicorn ends a connection that stays idle after an answer. One that never sends a whole head would keep its place for ever,
    and enough of them keep everybody else out.
    """

    def __init__(self, *arguments: Any, head_seconds: float, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_seconds = head_seconds
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def on_response_complete(self) -> None:
        self._await_head()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
        self._head_timer = self.loop.call_later(self._head_seconds, self._end_without_head)

    def _end_without_head(self) -> None:
        # No farewell: a peer that reads nothing would keep the connection open while it waits to be written.
        asked = self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr]
        if not asked:
            self.transport.abort()

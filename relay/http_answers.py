"""A correction of httpcore 1.0, and the only private access to it: no answer is taken for that of another request.

1. A server or a proxy may answer a request twice, as after a repeat within a cluster of proxies.
2. httpcore keeps the bytes behind an answer, and reads them as the answer to the next request of the connection. A second
   "accepted" would then be read for events that were never looked at.
3. So a connection with bytes behind an answer is closed. Bytes that come later are seen by httpcore itself, before the next
   request. Check this before an upgrade of httpcore; tests/relay/test_http_answers.py fails without it.
"""

import httpcore._async.connection as direct
import httpcore._async.http_proxy as through_proxy
from httpcore._async.http11 import AsyncHTTP11Connection


class SingleAnswerConnection(AsyncHTTP11Connection):
    """Closes itself where bytes are behind an answer."""

    async def _response_closed(self) -> None:
        surplus, _ = self._h11_state.trailing_data
        if surplus:
            await self.aclose()
        else:
            await super()._response_closed()


def close_after_surplus_bytes() -> None:
    """Use the connection for each client of httpx that sends its first request later."""
    for module in (direct, through_proxy):
        vars(module)["AsyncHTTP11Connection"] = SingleAnswerConnection

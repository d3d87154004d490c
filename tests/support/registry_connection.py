"""The connection to a schema registry, cut and recorded."""

import copy
from typing import Any

import httpx

import schemas


class CuttableTransport(httpx.AsyncBaseTransport):
    """A transport to the real registry that can be cut; records the requests."""

    def __init__(self) -> None:
        self.cut = False
        self.requests: list[str] = []
        self._inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.cut:
            raise httpx.ConnectError("the transport is cut", request=request)
        self.requests.append(f"{request.method} {request.url.path}")
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


def distinct_audit_event(prefix: str) -> dict[str, Any]:
    """Return a schema that no other test has registered."""
    schema: dict[str, Any] = copy.deepcopy(schemas.released("audit_event")[-1])
    schema["fields"].append({"name": prefix.replace("-", "_"), "type": ["null", "string"], "default": None})
    return schema

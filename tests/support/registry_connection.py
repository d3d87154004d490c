import copy

import httpx

import schemas


class CuttableTransport(httpx.AsyncBaseTransport):
    """A transport to the real registry that can be cut. `requests` has method and path of each request."""

    def __init__(self):
        self.cut = False
        self.requests = []
        self._inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request):
        if self.cut:
            raise httpx.ConnectError("the transport is cut", request=request)
        self.requests.append(f"{request.method} {request.url.path}")
        return await self._inner.handle_async_request(request)

    async def aclose(self):
        await self._inner.aclose()


def distinct_audit_event(prefix):
    """Return a schema that no other test registers."""
    schema = copy.deepcopy(schemas.released("audit_event")[-1])
    schema["fields"].append({"name": prefix.replace("-", "_"), "type": ["null", "string"], "default": None})
    return schema

"""A bucket of S3 on loopback: conditional creation, reading, listing and deletion, with signatures that are checked."""

import hashlib
import time
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Self
from xml.sax.saxutils import escape

from aiohttp import web

from simulators.fault_script import FaultScript, ScriptedFault
from simulators.faults import Fault
from simulators.object_store.signature import access_key, is_signed

MAX_SKEW_SECONDS = 900
PAGE = 1_000


class S3Bucket:
    """Runs one bucket on a free port, in this event loop: `async with S3Bucket() as bucket`.

    `keys` are the access keys with their secrets, `obeys_condition` is false for a store that ignores `If-None-Match`; both may
    be changed at any time.
    """

    def __init__(self, name: str = "audit") -> None:
        self.name = name
        self.keys = {"AKIDEXAMPLE": "a-long-secret-key"}
        self.obeys_condition = True
        self.objects: dict[str, bytes] = {}
        """In the order of their creation."""
        self.requests: deque[tuple[str, str]] = deque(maxlen=10_000)
        """Method and key of each request."""
        self._faults = FaultScript()
        self._port = 0
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self._port = runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def endpoint(self) -> str:
        """The URL of the service."""
        return f"http://127.0.0.1:{self._port}"

    def credential(self) -> str:
        """Return a credentials file with the first key, as AWS documents it."""
        key, secret = next(iter(self.keys.items()))
        return f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"

    def fault(
        self,
        fault: Fault,
        *,
        times: int | None = None,
        rate: float | None = None,
        skip: int = 0,
        only: Callable[[web.Request], bool] | None = None,
    ) -> ScriptedFault:
        """Add a fault, as `FaultScript.add` does."""
        return self._faults.add(fault, times=times, rate=rate, skip=skip, only=only)

    def clear_faults(self) -> None:
        """Remove every fault."""
        self._faults.clear()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.content.read()
        bucket, _, key = request.match_info["path"].partition("/")
        self.requests.append((request.method, key))
        fault = self._faults.next_fault(request)

        async def serve() -> web.Response:
            return self._serve(request, bucket, key, body)

        return await (fault.play(request, serve) if fault else serve())

    def _serve(self, request: web.Request, bucket: str, key: str, body: bytes) -> web.Response:
        refused = self._refused(request, bucket, body)
        if refused is not None:
            return refused
        match request.method:
            case "PUT":
                return self._put(request, key, body)
            case "GET" if key:
                return self._get(key)
            case "GET":
                return self._list(request)
            case "DELETE":
                self.objects.pop(key, None)
                return web.Response(status=204)
            case _:
                return error(405, "MethodNotAllowed")

    def _refused(self, request: web.Request, bucket: str, body: bytes) -> web.Response | None:
        secret = self.keys.get(access_key(request) or "")
        if secret is None:
            return error(403, "InvalidAccessKeyId")
        if not is_signed(request, body, secret):
            return error(403, "SignatureDoesNotMatch")
        signed = datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if abs(signed.timestamp() - time.time()) > MAX_SKEW_SECONDS:
            return error(403, "RequestTimeTooSkewed")
        return None if bucket == self.name else error(404, "NoSuchBucket")

    def _put(self, request: web.Request, key: str, body: bytes) -> web.Response:
        """S3 knows `If-None-Match: *` alone ("How to prevent object overwrites with conditional writes")."""
        if self.obeys_condition and request.headers.get("If-None-Match") == "*" and key in self.objects:
            return error(412, "PreconditionFailed")
        self.objects[key] = body
        return web.Response(headers={"ETag": _etag(body)})

    def _get(self, key: str) -> web.Response:
        body = self.objects.get(key)
        if body is None:
            return error(404, "NoSuchKey")
        return web.Response(
            body=body,
            headers={"ETag": _etag(body), "Last-Modified": "Mon, 30 Nov 2026 00:00:00 GMT"},
        )

    def _list(self, request: web.Request) -> web.Response:
        prefix = request.query.get("prefix", "")
        after = request.query.get("continuation-token", request.query.get("start-after", ""))
        found = sorted(key for key in self.objects if key.startswith(prefix) and key > after)
        page, more = found[:PAGE], len(found) > PAGE
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-11-30T00:00:00.000Z</LastModified>"
            f"<ETag>&quot;x&quot;</ETag><Size>{len(self.objects[key])}</Size></Contents>"
            for key in page
        )
        return web.Response(
            text=f"<ListBucketResult><Name>{self.name}</Name><KeyCount>{len(page)}</KeyCount>"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{rows}</ListBucketResult>",
            content_type="application/xml",
        )


def error(status: int, code: str) -> web.Response:
    """Return an error as S3 writes it."""
    return web.Response(
        status=status,
        text=f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{code}</Message></Error>',
        content_type="application/xml",
    )


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'

"""A bucket or container on loopback: conditional creation, reading, listing and deletion, in the dialect of one cloud."""

import re
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit
from xml.sax.saxutils import escape

from aiohttp import web

from simulators.fault_script import FaultScript, ScriptedFault
from simulators.faults import Fault
from simulators.server import LoopbackServer, SimulatedPeer

PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between the clouds."""

    refused: Callable[["Bucket", web.Request, bytes], web.Response | None]
    """Answer a request whose credential is wrong; None: it is right."""
    is_conditional: Callable[[web.Request], bool]
    """Whether a creation wants the name to be free."""
    taken: tuple[int, str]
    """Status and code where it is not."""
    absent: str
    """Code of an object that is absent."""
    absent_bucket: str
    page: Callable[[list[str], str | None], str]
    """Write a page of a listing, with the mark of the next page; folders end in a slash."""
    begin: tuple[str, ...]
    """Query parameters that say where a listing begins; the first one that is given counts."""
    inclusive: bool = False
    """Whether a listing begins at the name that is given, and not behind it."""
    account: str = ""
    """First part of each path, if the dialect has one."""


class Bucket(SimulatedPeer):
    """Runs one bucket on a free port, in this event loop: `async with Bucket(S3) as bucket`.

    `keys` are the credentials that are known, `obeys_condition` is false for a store that overwrites; both may be changed at any
    time.
    """

    def __init__(
        self, dialect: Dialect, keys: dict[str, str], name: str = "audit", tls: ssl.SSLContext | None = None
    ) -> None:
        """`tls` makes its service one of https; the certificates of the context may be changed at any time."""
        self.name = name
        self.keys = keys
        self.obeys_condition = True
        self.objects: dict[str, bytes] = {}
        """In the order of their creation."""
        self.requests: deque[tuple[str, str]] = deque(maxlen=10_000)
        """Method and key of each request."""
        self._dialect = dialect
        self._faults = FaultScript()
        self._server = LoopbackServer(self._handle, tls=tls)

    async def drop_connections(self) -> None:
        """End every connection; new ones are taken at once."""
        await self._server.stop()
        await self._server.start()

    @property
    def endpoint(self) -> str:
        """The URL of the service."""
        account = f"/{self._dialect.account}" if self._dialect.account else ""
        return f"{self._server.url}{account}"

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
        bucket, key = self._place(request.rel_url.raw_path)
        self.requests.append((request.method, key))
        return await self._faults.answer(request, lambda: self._serve(request, bucket, key, body))

    def _place(self, raw_path: str) -> tuple[str, str]:
        """Return bucket and key of a path."""
        path = unquote(raw_path).removeprefix(f"/{self._dialect.account}").lstrip("/")
        bucket, _, key = path.partition("/")
        return bucket, key

    def _serve(self, request: web.Request, bucket: str, key: str, body: bytes) -> web.Response:
        refused = self._dialect.refused(self, request, body)
        if refused is not None:
            return refused
        if bucket != self.name:
            return error(404, self._dialect.absent_bucket)
        match request.method:
            case "PUT":
                return self._put(request, key, body)
            case "GET" if key:
                return self._get(request, key)
            case "GET":
                return self._list(request)
            case "POST":
                return self._batch(body.decode("utf-8", "replace"))
            case "DELETE":
                self.objects.pop(key, None)
                return web.Response(status=204)
            case _:
                return error(405, "MethodNotAllowed")

    def _put(self, request: web.Request, key: str, body: bytes) -> web.Response:
        if self.obeys_condition and self._dialect.is_conditional(request) and key in self.objects:
            return error(*self._dialect.taken)
        self.objects[key] = body
        return web.Response(status=201, headers=_HEAD)

    def _get(self, request: web.Request, key: str) -> web.Response:
        body = self.objects.get(key)
        if body is None:
            return error(404, self._dialect.absent)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", ""))
        if wanted is None:
            return web.Response(body=body, headers=_HEAD)
        start, last = int(wanted[1]), min(int(wanted[2]), len(body) - 1)
        if start > last:  # RFC 9110, 15.5.17
            return error(416, "InvalidRange")
        place = f"bytes {start}-{last}/{len(body)}"
        return web.Response(status=206, body=body[start : last + 1], headers=_HEAD | {"Content-Range": place})

    def _batch(self, body: str) -> web.Response:
        """Delete what the parts of a batch name (Microsoft Learn, "Blob Batch")."""
        parts = []
        for number, path in enumerate(re.findall(r"DELETE (\S+) HTTP/1\.1", body)):
            self.objects.pop(self._place(urlsplit(path).path)[1], None)
            parts.append(
                f"--batchresponse\r\nContent-Type: application/http\r\nContent-ID: {number}\r\n\r\nHTTP/1.1 202 Accepted\r\n\r\n"
            )
        return web.Response(
            status=202,
            body="".join((*parts, "--batchresponse--\r\n")).encode(),
            headers={"Content-Type": "multipart/mixed; boundary=batchresponse"},
        )

    def _list(self, request: web.Request) -> web.Response:
        prefix = request.query.get("prefix", "")
        after = next((request.query[name] for name in self._dialect.begin if request.query.get(name)), "")
        entries = {_entry(key, prefix, request.query.get("delimiter", "")) for key in self.objects}
        found = sorted(
            key
            for key in entries
            if key.startswith(prefix) and (key > after or (self._dialect.inclusive and key == after))
        )
        page, rest = found[:PAGE], found[PAGE:]
        mark = (rest if self._dialect.inclusive else page[-1:])[0] if rest else None
        text = self._dialect.page([escape(key) for key in page], mark and escape(mark))
        return web.Response(text=text, content_type="application/xml")


def _entry(key: str, prefix: str, delimiter: str) -> str:
    """Return the entry of a key in a listing: itself, or the folder it is in, up to the first delimiter behind the prefix."""
    if not (delimiter and key.startswith(prefix)):
        return key
    name, found, _ = key[len(prefix) :].partition(delimiter)
    return f"{prefix}{name}{found}"


_HEAD = {"ETag": '"x"', "Last-Modified": "Mon, 30 Nov 2026 00:00:00 GMT", "x-goog-generation": "1"}


def error(status: int, code: str) -> web.Response:
    """Return an error as the clouds write it."""
    return web.Response(
        status=status,
        text=f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{code}</Message></Error>',
        content_type="application/xml",
    )

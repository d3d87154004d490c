"""A receiver of events by HTTP, which stores each row of a body, or none."""

import gzip
import ssl
import zlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from simulators.fault_script import FaultScript, ScriptedFault
from simulators.faults import Fault
from simulators.http.bodies import BadBodyError, identifier, parse_events
from simulators.http.signature import is_signed
from simulators.server import LoopbackServer, SimulatedPeer

MAX_BODY_BYTES = 10_000_000


class _RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class ReceivedCall:
    """One request, with the bytes of its body as they were sent."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class HttpReceiver(SimulatedPeer):
    """Runs a receiver on loopback and a free port, in this event loop: `async with HttpReceiver() as receiver`.

    A request needs the headers of `credential`, and a signature with one of `secrets` if there are any; both may be changed at
    any time. `tls` makes it a server of https.
    """

    def __init__(
        self,
        *,
        credential: Mapping[str, str] | None = None,
        secrets: tuple[str, ...] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.credential = dict(credential or {})
        self.secrets = secrets
        self.calls: deque[ReceivedCall] = deque(maxlen=10_000)
        self._stored: dict[str, list[dict[str, Any]]] = {}
        self._poisons: set[str] = set()
        self._faults = FaultScript()
        self._server = LoopbackServer(self._handle, tls=tls)

    def url(self, path: str) -> str:
        """Return the URL of a path; each path stores rows of its own."""
        return f"{self._server.url}/{path}"

    def stored(self, path: str) -> list[dict[str, Any]]:
        """Return the rows that a path stored, in the order of their arrival, repeats included."""
        return self._stored.get(path, [])

    def stored_ids(self, path: str) -> list[str]:
        """Return the same as `organization/id` of each row."""
        return [identifier(row) for row in self.stored(path)]

    def poison(self, row_id: str) -> None:
        """Refuse each body that holds the row of this id with 422, until `clear_faults`."""
        self._poisons.add(row_id)

    def fault(self, fault: Fault, *, times: int | None = None, rate: float | None = None) -> ScriptedFault:
        """Add a fault, as `FaultScript.add` does; with `rate=1` it lasts until it is cancelled."""
        return self._faults.add(fault, times=times, rate=rate)

    def clear_faults(self) -> None:
        """Remove every fault and every poison row."""
        self._faults.clear()
        self._poisons.clear()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.content.read()
        path = request.match_info["path"]
        self.calls.append(ReceivedCall(request.method, path, request.headers, body))
        return await self._faults.answer(request, lambda: self._serve(request, path, body))

    def _serve(self, request: web.Request, path: str, body: bytes) -> web.Response:
        try:
            self._check(request, body)
            if request.method == "HEAD":
                return web.Response(status=405, headers={"Allow": "POST"})
            rows = parse_events(request.content_type, _decompressed(request, body))
        except _RefusedError as refused:
            return web.json_response({"error": str(refused)}, status=refused.status)
        except BadBodyError as error:
            return web.json_response({"error": str(error)}, status=400)
        bad = [identifier(row) for row in rows if identifier(row) in self._poisons]
        if bad:
            return web.json_response({"error": f"event {bad[0]} is not valid"}, status=422)
        self._stored.setdefault(path, []).extend(rows)
        return web.json_response({"stored": len(rows)})

    def _check(self, request: web.Request, body: bytes) -> None:
        if any(request.headers.get(name) != value for name, value in self.credential.items()):
            raise _RefusedError(401, f"unknown credential {request.headers.get('Authorization', '')}")
        if self.secrets and not is_signed(request.headers, body, self.secrets):
            raise _RefusedError(401, "no signature matches")
        if request.method not in {"POST", "HEAD"}:
            raise _RefusedError(405, "only POST is allowed")
        if len(body) > MAX_BODY_BYTES:
            raise _RefusedError(413, "the body is too large")


def _decompressed(request: web.Request, body: bytes) -> bytes:
    match request.headers.get("Content-Encoding", "identity"):
        case "identity":
            return body
        case "gzip":
            try:
                return gzip.decompress(body)
            except (OSError, EOFError, zlib.error) as error:
                raise _RefusedError(400, "the body is not gzip") from error
        case other:
            raise _RefusedError(415, f"the encoding {other} is not known")

"""A backend that takes logs and traces by OTLP, and stores each record of a body, or all but those that it drops."""

import gzip
import ssl
import time
import zlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from simulators.fault_script import FaultScript, ScriptedFault
from simulators.faults import Fault
from simulators.otlp import json_messages, protobuf
from simulators.otlp.protobuf import BadMessageError
from simulators.otlp.spans import read_spans
from simulators.server import LoopbackServer, SimulatedPeer

MAX_BODY_BYTES = 10_000_000
PATH = "/v1/logs"
TRACES_PATH = "/v1/traces"
_ENCODINGS = {"application/x-protobuf": protobuf, "application/json": json_messages}
_INVALID_ARGUMENT, _UNAUTHENTICATED = 3, 16


class _RefusedError(Exception):
    def __init__(self, status: int, message: str, code: int = _INVALID_ARGUMENT) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class ReceivedCall:
    """One request, with the bytes of its body as they were sent."""

    path: str
    headers: Mapping[str, str]
    body: bytes


class OtlpBackend(SimulatedPeer):
    """Runs a backend on loopback and a free port, in this event loop: `async with OtlpBackend() as backend`.

    A request needs the headers of `credential`, which may be changed at any time. `max_age_seconds`: older records are
    dropped; None: no record is too old. `tls` makes it a server of https.
    """

    def __init__(
        self,
        *,
        credential: Mapping[str, str] | None = None,
        max_age_seconds: float | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.credential = dict(credential or {})
        self.max_age_seconds = max_age_seconds
        self.warning = ""
        """What an answer says although every record was stored."""
        self.calls: deque[ReceivedCall] = deque(maxlen=10_000)
        self.spans: list[dict[str, Any]] = []
        """The spans of all endpoints, in the order of their arrival, repeats included."""
        self._stored: dict[str, list[dict[str, Any]]] = {}
        self._poisons: set[str] = set()
        self._drops: set[str] = set()
        self._faults = FaultScript()
        self._server = LoopbackServer(self._handle, tls=tls)

    def url(self, endpoint: str) -> str:
        """Return the base URL of an endpoint; each stores records of its own."""
        return f"{self._server.url}/{endpoint}"

    def stored(self, endpoint: str) -> list[dict[str, Any]]:
        """Return the records that an endpoint stored, in the order of their arrival, repeats included."""
        return self._stored.get(endpoint, [])

    def stored_ids(self, endpoint: str) -> list[str]:
        """Return the same as the uid of each record."""
        return [_uid(record) for record in self.stored(endpoint)]

    def poison(self, uid: str) -> None:
        """Refuse each body that holds the record of this uid with 400, until `clear_faults`."""
        self._poisons.add(uid)

    def drop(self, uid: str) -> None:
        """Drop the record of this uid, and say how many were dropped, until `clear_faults`."""
        self._drops.add(uid)

    def fault(self, fault: Fault, *, times: int | None = None, rate: float | None = None) -> ScriptedFault:
        """Add a fault, as `FaultScript.add` does; with `rate=1` it lasts until it is cancelled."""
        return self._faults.add(fault, times=times, rate=rate)

    def clear_faults(self) -> None:
        """Remove every fault, and forget which records are refused or dropped."""
        self._faults.clear()
        self._poisons.clear()
        self._drops.clear()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.content.read()
        path = f"/{request.match_info['path']}"
        self.calls.append(ReceivedCall(path, request.headers, body))
        return await self._faults.answer(request, lambda: self._serve(request, path, body))

    def _serve(self, request: web.Request, path: str, body: bytes) -> web.Response:
        encoding = _ENCODINGS.get(request.content_type, json_messages)
        content_type = request.content_type if request.content_type in _ENCODINGS else "application/json"
        try:
            records = self._read(request, path, body)
        except _RefusedError as refused:
            content = encoding.status(refused.code, str(refused))
            return web.Response(status=refused.status, body=content, content_type=content_type)
        kept = [record for record in records if not self._drops_record(record)]
        self._stored.setdefault(path.removesuffix(PATH).strip("/"), []).extend(kept)
        dropped = len(records) - len(kept)
        message = "records are too old or not valid" if dropped else self.warning
        return web.Response(body=encoding.partial_success(dropped, message), content_type=content_type)

    def _read(self, request: web.Request, path: str, body: bytes) -> list[dict[str, Any]]:
        if any(request.headers.get(name) != value for name, value in self.credential.items()):
            raise _RefusedError(
                401, f"unknown credential {request.headers.get('Authorization', '')}", _UNAUTHENTICATED
            )
        if not path.endswith((PATH, TRACES_PATH)):
            raise _RefusedError(404, "there is no such page")
        if request.method != "POST":
            raise _RefusedError(405, "only POST is allowed")
        if request.content_type not in _ENCODINGS:
            raise _RefusedError(415, "the content type is not known")
        content = _decompressed(request, body)
        if len(content) > MAX_BODY_BYTES:
            raise _RefusedError(413, "the body is too large")
        try:
            if path.endswith(TRACES_PATH):
                self.spans += read_spans(content)
                return []
            records: list[dict[str, Any]] = _ENCODINGS[request.content_type].read_request(content)
        except BadMessageError:
            raise _RefusedError(400, "the body is no request") from None
        bad = [_uid(record) for record in records if _uid(record) in self._poisons]
        if bad:
            raise _RefusedError(400, f"record {bad[0]} is not valid")
        return records

    def _drops_record(self, record: dict[str, Any]) -> bool:
        oldest = 0.0 if self.max_age_seconds is None else time.time() - self.max_age_seconds
        return _uid(record) in self._drops or record["timeUnixNano"] < oldest * 1e9


def _uid(record: dict[str, Any]) -> str:
    return str(record["attributes"].get("log.record.uid"))


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

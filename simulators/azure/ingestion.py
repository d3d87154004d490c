"""The upload call of the Logs Ingestion API, with the checks that Azure makes before the rule."""

import json
import random
import time
import uuid
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from simulators.azure import faults as azure_faults
from simulators.azure.identity import IdentityService
from simulators.azure.rule import DataCollectionRule
from simulators.fault_script import FaultScript

MAX_CALL_BYTES = 1_048_576
"""Largest Content-Length that the gateway accepts. Source: azure-sdk-for-python#42648."""

MAX_DECOMPRESSED_BYTES = 50 * 1024 * 1024
"""Largest decompressed body, checked behind the gateway. Source: otel-arrow#2535."""

VERSIONS = {"2023-01-01", "2021-11-01-preview"}


class _RejectedError(Exception):
    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers or {}


@dataclass(slots=True)
class IngestionCall:
    """Facts about one call, filled in while it is served. `at` is seconds since 1970."""

    at: float
    stream: str
    request_id: str
    client_request_id: str | None
    wire_bytes: int
    """Bytes of the body as sent; Content-Length if the body was not read."""
    raw_bytes: int = 0
    """Bytes after decompression."""
    rows: int = 0
    """Rows in the body, stored or not."""
    stored: bool = False
    status: int | None = None
    """None: no answer was sent, or not yet."""
    code: str | None = None
    fault: str | None = None


class PoisonRow:
    """Refuses each call with a matching row with 400, until `cancel`."""

    def __init__(self, matches: Callable[[Mapping[str, Any]], bool]) -> None:
        self.matches = matches
        self.refused_calls = 0
        self._cancelled = False

    def cancel(self) -> None:
        """Accept matching rows from now on."""
        self._cancelled = True

    def hits(self, rows: list[Mapping[str, Any]]) -> bool:
        """Return whether it refuses a call with these rows, and count the refusal."""
        hit = not self._cancelled and any(self.matches(row) for row in rows)
        self.refused_calls += hit
        return hit


class IngestionEndpoint:
    """The ingestion endpoint of one rule. It calls `changed` after each request.

    `strict` limits the decompressed body to 1 MiB too.
    """

    def __init__(
        self,
        identity: IdentityService,
        rule: DataCollectionRule,
        rng: random.Random,
        changed: Callable[[], None],
        strict: bool,
    ) -> None:
        self.rule_id = f"dcr-{rng.getrandbits(128):032x}"
        self.faults = FaultScript(rng.getrandbits(32))
        self.poisons: list[PoisonRow] = []
        self.calls: deque[IngestionCall] = deque(maxlen=100_000)
        self._identity = identity
        self._rule = rule
        self._changed = changed
        self._decompressed_limit = MAX_CALL_BYTES if strict else MAX_DECOMPRESSED_BYTES

    def routes(self) -> list[web.RouteDef]:
        """Return the route of the upload call."""
        return [web.post("/dataCollectionRules/{rule}/streams/{stream}", self._handle)]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        call = IngestionCall(
            at=time.time(),
            stream=request.match_info["stream"],
            request_id=str(uuid.uuid4()),
            client_request_id=request.headers.get("x-ms-client-request-id"),
            wire_bytes=request.content_length or 0,
        )
        self.calls.append(call)
        fault = self.faults.next_fault(request)
        call.fault = fault.name if fault else None
        try:
            response = await (
                fault.play(request, lambda: self._serve_normally(request, call))
                if fault
                else self._serve_normally(request, call)
            )
            if request.transport is not None and not request.transport.is_closing():
                call.status = response.status
                call.code = response.headers.get("x-ms-error-code")
            if (call.code or call.stored) and not response.prepared:
                response.headers["x-ms-request-id"] = call.request_id
        finally:
            self._changed()
        return response

    async def _serve_normally(self, request: web.Request, call: IngestionCall) -> web.Response:
        try:
            await self._serve(request, call)
        except _RejectedError as refused:
            headers = {"x-ms-error-code": refused.code, **refused.headers}
            error = {"error": {"code": refused.code, "message": str(refused)}}
            return web.json_response(error, status=refused.status, headers=headers)
        return web.Response(status=204)

    async def _serve(self, request: web.Request, call: IngestionCall) -> None:
        self._check_request(request)
        body = await _read_body(request)
        call.wire_bytes = len(body)
        raw = self._decompress(body, request.headers.get("Content-Encoding", "identity"))
        call.raw_bytes = len(raw)
        rows = _parse_rows(raw)
        call.rows = len(rows)
        if [poison for poison in self.poisons if poison.hits(rows)]:
            raise _RejectedError(400, "InvalidData", "The data in the request could not be processed.")
        now = datetime.now(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
        self._rule.store(call.stream, rows, call.request_id, now)
        call.stored = True

    def _check_request(self, request: web.Request) -> None:
        rule_id, stream = request.match_info["rule"], request.match_info["stream"]
        try:
            client = self._identity.authenticate(request.headers.get("Authorization"))
        except PermissionError as error:
            challenge = f'Bearer error="invalid_token", error_description="{error}"'
            raise _RejectedError(401, "InvalidToken", str(error), {"WWW-Authenticate": challenge}) from error
        if request.query.get("api-version") not in VERSIONS:
            raise _RejectedError(400, "InvalidApiVersion", "The api-version is missing or not supported.")
        if rule_id != self.rule_id:
            message = f"Data collection rule with immutable Id '{rule_id}' not found."
            raise _RejectedError(404, "NotFound", message)
        if client not in self._identity.publishers:
            raise _RejectedError(403, "OperationFailed", azure_faults.no_access_message(rule_id))
        if stream not in self._rule.flows:
            raise _RejectedError(
                404, "InvalidStream", f"Stream '{stream}' is not one of the rule '{rule_id}'."
            )
        if request.content_type != "application/json":
            raise _RejectedError(415, "UnsupportedMediaType", "The content type has to be application/json.")

    def _decompress(self, body: bytes, encoding: str) -> bytes:
        if encoding == "gzip":
            body = _gunzip(body, self._decompressed_limit + 1)
        elif encoding != "identity":
            raise _RejectedError(
                400, "InvalidContentEncoding", f"The encoding {encoding!r} is not supported."
            )
        if len(body) > MAX_DECOMPRESSED_BYTES:
            raise _RejectedError(400, "PayloadSizeLimitExceeded", "The decompressed body is too large.")
        if len(body) > self._decompressed_limit:
            raise _content_too_large(len(body))
        return body


async def _read_body(request: web.Request) -> bytes:
    if (request.content_length or 0) > MAX_CALL_BYTES:
        raise _content_too_large(request.content_length or 0)
    body = bytearray()
    async for piece in request.content.iter_any():
        body += piece
        if len(body) > MAX_CALL_BYTES:
            raise _content_too_large(len(body))
    return bytes(body)


def _gunzip(body: bytes, limit: int) -> bytes:
    """Decompress at most `limit` bytes of the body, which may have several gzip members."""
    decompressed, rest = b"", body
    try:
        while rest and len(decompressed) < limit:
            member = zlib.decompressobj(wbits=31)
            decompressed += member.decompress(rest, limit - len(decompressed))
            if not member.eof and len(decompressed) < limit:
                raise zlib.error("the stream ends too early")
            rest = member.unused_data
    except zlib.error as error:
        raise _RejectedError(400, "InvalidGzip", "The body is not valid gzip.") from error
    return decompressed


def _parse_rows(raw: bytes) -> list[Mapping[str, Any]]:
    """Parse the rows of a body.

    Azure accepts an object in the place of the array, and stores nothing. Source: azure-sdk-for-python#32562.
    """
    try:
        document = json.loads(raw.decode(), parse_constant=_reject_constant)
    except (ValueError, RecursionError) as error:
        raise _RejectedError(400, "InvalidJson", "The body is not valid JSON.") from error
    if isinstance(document, dict):
        return []
    if not isinstance(document, list) or not all(isinstance(row, dict) for row in document):
        raise _RejectedError(400, "InvalidJson", "The body is not an array of objects.")
    return document


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _content_too_large(length: int) -> _RejectedError:
    return _RejectedError(413, "ContentLengthLimitExceeded", azure_faults.over_limit_message(length))

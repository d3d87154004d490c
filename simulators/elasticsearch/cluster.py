"""A cluster on loopback and a free port, in this event loop: `async with SimulatedCluster() as cluster`."""

import gzip
import json
import ssl
import zlib
from collections import deque
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from simulators.elasticsearch.bulk import BulkRules
from simulators.elasticsearch.objects import ClusterError, Objects
from simulators.fault_script import FaultScript, ScriptedFault
from simulators.faults import Fault
from simulators.server import LoopbackServer, SimulatedPeer

_PARAMETERS = {"filter_path", "pipeline", "timeout", "require_data_stream", "ignore_unavailable"}


@dataclass(frozen=True, slots=True)
class ClusterCall:
    """One request, without its body."""

    method: str
    path: str
    parameters: dict[str, str]
    authorization: str


class SimulatedCluster(SimulatedPeer):
    """Answers as a cluster does. `authorization` is the header that it takes, None: any; it may be changed at any time."""

    def __init__(
        self,
        *,
        opensearch: bool = False,
        version: str = "9.1.0",
        authorization: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.objects = Objects()
        self.bulk = BulkRules(self.objects)
        self.authorization = authorization
        self.may_look = True
        """Whether the credential may read what has a name."""
        self.may_write = True
        self.pipelines: set[str] = set()
        self.max_content_length = 100 * 1024 * 1024
        self.calls: deque[ClusterCall] = deque(maxlen=10_000)
        self._opensearch = opensearch
        self._version = version
        self._faults = FaultScript()
        self._server = LoopbackServer(self._handle, tls=tls)

    @property
    def endpoint(self) -> str:
        return self._server.url

    def stored(self, prefix: str) -> list[dict[str, Any]]:
        """Return the documents that names with this beginning took, in the order of their arrival, each with its `_id`."""
        return [
            document
            for name, arrived in self.objects.arrived.items()
            if name.startswith(prefix)
            for document in arrived
        ]

    def stored_ids(self, prefix: str) -> list[str]:
        return [str(document["_id"]) for document in self.stored(prefix)]

    def bulk_fault(
        self, fault: Fault, *, times: int | None = None, rate: float | None = None
    ) -> ScriptedFault:
        """Add a fault of bulk requests, as `FaultScript.add` does."""
        return self._faults.add(fault, times=times, rate=rate, only=lambda request: "_bulk" in request.path)

    def fault(self, fault: Fault, *, times: int | None = None, rate: float | None = None) -> ScriptedFault:
        """Add a fault of any request."""
        return self._faults.add(fault, times=times, rate=rate)

    def forget_documents(self) -> None:
        """Delete every document, so that its id is free again; `stored` still has it."""
        for stream in self.objects.streams.values():
            for index in stream.backing:
                index.documents.clear()
        for index in self.objects.indices.values():
            index.documents.clear()

    def clear_faults(self) -> None:
        """Remove every fault, of requests and of documents."""
        self._faults.clear()
        self.bulk.poisons.clear()
        self.bulk.throttled.clear()
        self.bulk.busy = self.bulk.diverts = self.objects.full = False
        for index in self.objects.indices.values():
            index.closed, index.block = False, None
        for stream in self.objects.streams.values():
            stream.backing[-1].closed, stream.backing[-1].block = False, None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.content.read()
        parameters = dict(request.query)
        given = request.headers.get("Authorization", "")
        self.calls.append(ClusterCall(request.method, request.path, parameters, given))
        return await self._faults.answer(request, lambda: self._serve(request, body, parameters))

    def _serve(self, request: web.Request, body: bytes, parameters: dict[str, str]) -> web.Response:
        try:
            self._check(request, body, parameters)
            answer = self._answer(
                request.method, request.path.strip("/").split("/"), _decompressed(request, body), parameters
            )
        except ClusterError as error:
            root = {"root_cause": [error.error], **error.error}
            return self._respond({"error": root, "status": error.status}, error.status)
        return self._respond(_filtered(answer, parameters.get("filter_path")), 200)

    def _respond(self, answer: dict[str, Any], status: int) -> web.Response:
        headers = {} if self._opensearch else {"X-elastic-product": "Elasticsearch"}
        return web.json_response(answer, status=status, headers=headers)

    def _check(self, request: web.Request, body: bytes, parameters: dict[str, str]) -> None:
        given = request.headers.get("Authorization")
        if self.authorization is not None and given != self.authorization:
            reason = f"unable to authenticate with provided credentials [{given}]"
            raise ClusterError(401, "security_exception", reason)
        if len(body) > self.max_content_length:
            raise ClusterError(413, "content_too_long_exception", "entity content is too long")
        known = _PARAMETERS - (set() if self._knows_required_streams else {"require_data_stream"})
        for name in parameters.keys() - known:
            reason = f"request [{request.path}] contains unrecognized parameter: [{name}]"
            raise ClusterError(400, "illegal_argument_exception", reason)

    @property
    def _knows_required_streams(self) -> bool:
        return not self._opensearch and tuple(map(int, self._version.split(".")[:2])) >= (8, 13)

    def _answer(
        self, method: str, path: list[str], body: bytes, parameters: dict[str, str]
    ) -> dict[str, Any]:
        match method, path:
            case "GET", [""]:
                distribution = {"distribution": "opensearch"} if self._opensearch else {}
                return {
                    "name": "node-1",
                    "cluster_name": "simulated",
                    "version": {**distribution, "number": self._version},
                }
            case "GET", ["_resolve", "index", expression]:
                self._require(allowed=self.may_look, action=f"indices:admin/resolve/index on [{expression}]")
                return self.objects.resolve(expression)
            case "PUT", ["_data_stream", name]:
                self._require(allowed=self.may_look, action=f"indices:admin/data_stream/create on [{name}]")
                self.objects.create_stream(name)
                return {"acknowledged": True}
            case "POST", ["_index_template", "_simulate_index", name]:
                self._require(allowed=self.may_look, action="indices:admin/index_template/simulate_index")
                return self.objects.simulate(name)
            case "POST", ["_security", "user", "_has_privileges"] if not self._opensearch:
                return {"username": "relay", "has_all_requested": self.may_write}
            case "POST", [names, "_search"]:
                self._require(allowed=self.may_look, action=f"indices:data/read/search on [{names}]")
                return self.objects.search(names, json.loads(body), ignore="ignore_unavailable" in parameters)
            case "POST", [*names, "_bulk"]:
                self._require(allowed=self.may_write, action="indices:data/write/bulk")
                self._check_pipeline(parameters.get("pipeline"))
                return self.bulk.apply(body, names[0] if names else None, parameters)
        raise ClusterError(
            400,
            "illegal_argument_exception",
            f"no handler found for uri [{'/'.join(path)}] and method [{method}]",
        )

    def _require(self, *, allowed: bool, action: str) -> None:
        if not allowed:
            raise ClusterError(
                403, "security_exception", f"action [{action}] is unauthorized for user [relay]"
            )

    def _check_pipeline(self, pipeline: str | None) -> None:
        if pipeline not in {None, "_none", *self.pipelines}:
            raise ClusterError(
                400, "illegal_argument_exception", f"pipeline with id [{pipeline}] does not exist"
            )


def _filtered(answer: dict[str, Any], paths: str | None) -> dict[str, Any]:
    """Keep the members that `filter_path` names, of an answer of the bulk API."""
    if paths is None or "items" not in answer:
        return answer
    kept = {path.rpartition(".")[2] for path in paths.split(",") if path.startswith("items.*.")}
    items = [
        {
            action: {name: value for name, value in result.items() if name in kept}
            for action, result in item.items()
        }
        for item in answer["items"]
    ]
    return {"errors": answer["errors"], "items": items}


def _decompressed(request: web.Request, body: bytes) -> bytes:
    if request.headers.get("Content-Encoding") != "gzip":
        return body
    try:
        return gzip.decompress(body)
    except (OSError, EOFError, zlib.error) as error:
        raise ClusterError(400, "zip_exception", "Not in GZIP format") from error

"""The query API of Log Analytics, for the one shape of query that reads events back.

Source: Azure Monitor, "Log Analytics API": request format, response format, errors, limits.
"""

import json
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from aiohttp import web

from simulators.azure.identity import IdentityService
from simulators.azure.rule import StoredRow, Table
from simulators.fault_script import FaultScript

AUDIENCE = "https://api.loganalytics.io"
MAX_ROWS = 500_000
"""Largest result; a longer one is cut, and the answer says so. Source: Azure Monitor service limits, "Query API"."""

_QUERY = re.compile(
    r"union (?P<tables>\w+(?:, \w+)*)\n"
    r'\| where Organization == (?P<organization>"(?:[^"\\]|\\.)*")\n'
    r"\| where EventCreationTime >= datetime\((?P<start>[^()]+)\) and EventCreationTime < datetime\((?P<end>[^()]+)\)\n"
    r"\| distinct (?P<column>\w+)"
)


class _QueryError(Exception):
    def __init__(self, status: int, code: str, message: str, inner: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"code": code, "message": message} | ({"innererror": dict(inner)} if inner else {})


class LogsQuery:
    """One workspace. `readers`: client ids with the role Log Analytics Reader; nobody has it at first."""

    def __init__(self, identity: IdentityService, tables: Callable[[], Mapping[str, Table]]) -> None:
        self.identity = identity
        self.workspace_id = str(uuid.UUID(int=0x63613592_B6F7_4C3D_A390_22BA13102111))
        self.readers: set[str] = set()
        self.faults = FaultScript()
        self.max_rows = MAX_ROWS
        self.created: set[str] | None = None
        """Tables that queries know. None: all; a table is unknown to them for some minutes after it was made."""
        self.visible: int | None = None
        """Rows that arrived before this one are visible. None: all; a row is invisible for some minutes."""
        self._tables = tables

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/workspaces/{workspace}/query", self._handle)]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        fault = self.faults.next_fault(request)

        async def serve() -> web.Response:
            return self._serve(request, body)

        return await (fault.play(request, serve) if fault else serve())

    def _serve(self, request: web.Request, body: bytes) -> web.Response:
        try:
            self._authorize(request)
            return web.json_response(self._answer(request, body))
        except _QueryError as error:
            return web.json_response({"error": error.error}, status=error.status)

    def _authorize(self, request: web.Request) -> None:
        header = request.headers.get("Authorization")
        if header is None:
            raise _QueryError(
                401,
                "AuthenticationFailed",
                "Authentication failed. The 'Authorization' header is missing.",
            )
        try:
            client = self.identity.authenticate(header, AUDIENCE)
        except PermissionError as error:
            raise _QueryError(403, "InvalidAuthenticationToken", str(error)) from error
        if request.match_info["workspace"] != self.workspace_id:
            raise _QueryError(404, "WorkspaceNotFoundError", "The requested workspace was not found.")
        if client not in self.readers:
            inner = {"code": "AuthorizationFailedError", "message": "User does not have access to read it."}
            raise _QueryError(
                403,
                "InsufficientAccessError",
                "The provided credentials have insufficient access to perform the requested operation",
                inner,
            )

    def _answer(self, request: web.Request, body: bytes) -> dict[str, Any]:
        try:
            query = json.loads(body)["query"]
        except (ValueError, LookupError, TypeError) as error:
            raise _QueryError(400, "BadArgumentError", "The request had some invalid properties") from error
        found = _QUERY.fullmatch(query)
        if request.content_type != "application/json" or found is None:
            raise self._bad("SyntaxError", "A recognition error occurred in the query.")
        uids = dict.fromkeys(self._uids(found))
        answer = {
            "tables": [
                {
                    "name": "PrimaryResult",
                    "columns": [{"name": found["column"], "type": "string"}],
                    "rows": [[uid] for uid in list(uids)[: self.max_rows]],
                }
            ]
        }
        if len(uids) > self.max_rows:
            message = "There were some errors when processing your query."
            inner = {"code": "-2133196797", "message": "The results of this query exceed the set limit."}
            answer["error"] = {"code": "PartialError", "message": message, "innererror": inner}  # type: ignore[assignment]
        return answer

    def _uids(self, query: re.Match[str]) -> Iterable[str]:
        start, end = datetime.fromisoformat(query["start"]), datetime.fromisoformat(query["end"])
        organization = json.loads(query["organization"])
        tables = self._tables()
        for name in query["tables"].split(", "):
            known = name in tables and (self.created is None or name in self.created)
            if not known:
                message = f"'union' operator: Failed to resolve table expression named '{name}'"
                raise self._bad("SemanticError", "A semantic error occurred.", message)
            if not {"Organization", "EventCreationTime", query["column"]} <= tables[name].columns.keys():
                raise self._bad("SemanticError", "A semantic error occurred.", "Failed to resolve column")
            for stored in tables[name].stored_rows:
                at = stored.row["EventCreationTime"]
                if (
                    self._is_visible(stored)
                    and stored.row["Organization"] == organization
                    and at is not None
                    and start <= datetime.fromisoformat(at) < end
                ):
                    yield stored.row[query["column"]]

    def _is_visible(self, stored: StoredRow) -> bool:
        return self.visible is None or stored.number < self.visible

    def _bad(self, code: str, message: str, cause: str | None = None) -> _QueryError:
        inner: dict[str, Any] = {"code": code, "message": message}
        if cause is not None:
            inner["innererror"] = {"code": "SEM0100", "message": cause}
        return _QueryError(400, "BadArgumentError", "The request had some invalid properties", inner)

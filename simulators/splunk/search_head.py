"""A search head on its management port, for the one shape of search that reads events back.

Source: Splunk Enterprise, "REST API Reference": search endpoints.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

from simulators.fault_script import FaultScript
from simulators.server import LoopbackServer, SimulatedPeer
from simulators.splunk.collector import HecCollector
from simulators.splunk.events import Event

MAX_RESULT_ROWS = 50_000
_SEARCH = re.compile(
    r'\| tstats count where \((?P<indexes>index="[^"]+"(?: OR index="[^"]+")*)\) host=(?P<host>"(?:[^"\\]|\\.)*") by (?P<field>\w+)'
)


class SearchHead(SimulatedPeer):
    """Searches what a collector has stored: `async with SearchHead(collector) as head`.

    `readable`: the indexes that the role of the token may search; of others it says nothing, as of empty ones.
    """

    def __init__(self, collector: HecCollector, *, token: str = "search-token") -> None:  # noqa: S107 - of a simulator
        self.token = token
        self.readable = {"main", "jira", "jira_history"}
        self.warning: str | None = None
        """A message of each job, such as that a peer is down. None: there is none."""
        self.lost: set[str] = set()
        """Events that were answered with success and never indexed."""
        self.max_result_rows = MAX_RESULT_ROWS
        self.faults = FaultScript()
        self.jobs: dict[str, list[dict[str, str]]] = {}
        self._collector = collector
        self._server = LoopbackServer(self._handle)

    @property
    def url(self) -> str:
        return self._server.url

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.content.read()
        return await self.faults.answer(request, lambda: self._serve(request, body))

    def _serve(self, request: web.Request, body: bytes) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return _message(401, "call not properly authenticated")
        path = request.path.strip("/").split("/")
        match request.method, path:
            case "POST", ["services", "search", "jobs"]:
                return self._create(body)
            case "GET", ["services", "search", "jobs", job] if job in self.jobs:
                return web.json_response({"entry": [{"name": job, "content": self._content(job)}]})
            case "GET", ["services", "search", "v2", "jobs", job, "results"] if job in self.jobs:
                first, count = int(request.query.get("offset", 0)), int(request.query.get("count", 100))
                rows = self.jobs[job][first : first + min(count or MAX_RESULT_ROWS, self.max_result_rows)]
                return web.json_response(
                    {"preview": False, "init_offset": first, "messages": [], "results": rows}
                )
            case "DELETE", ["services", "search", "jobs", job] if job in self.jobs:
                del self.jobs[job]
                return web.json_response({"messages": [{"type": "INFO", "text": "Search job cancelled."}]})
        return _message(404, "Unknown sid.")

    def _create(self, body: bytes) -> web.Response:
        form = {name: values[-1] for name, values in parse_qs(body.decode()).items()}
        found = _SEARCH.fullmatch(form.get("search", ""))
        if found is None:
            return _message(400, "Error in 'SearchParser': Missing a search command before '^'.")
        job = f"1764500000.{len(self.jobs) + 1}"
        self.jobs[job] = list(self._results(found, float(form["earliest_time"]), float(form["latest_time"])))
        return web.json_response({"sid": job}, status=201)

    def _results(self, search: re.Match[str], earliest: float, latest: float) -> Iterable[dict[str, str]]:
        host, field = json.loads(search["host"]), search["field"]
        counts: dict[str, int] = {}
        for index in re.findall(r'index="([^"]+)"', search["indexes"]):
            for event in self._collector.stored(index) if index in self.readable else ():
                uid = str(event.get("fields", {}).get(field))
                if event.get("host") == host and earliest <= _time(event) < latest and uid not in self.lost:
                    counts[uid] = counts.get(uid, 0) + 1
        return ({field: uid, "count": str(count)} for uid, count in counts.items())

    def _content(self, job: str) -> Mapping[str, Any]:
        messages = [] if self.warning is None else [{"type": "WARN", "text": self.warning}]
        return {
            "dispatchState": "DONE",
            "isDone": True,
            "isFailed": False,
            "isFinalized": False,
            "resultCount": len(self.jobs[job]),
            "messages": messages,
        }


def _time(event: Event) -> float:
    return float(event["time"])


def _message(status: int, text: str) -> web.Response:
    return web.json_response(
        {"messages": [{"type": "WARN" if status == 401 else "FATAL", "text": text}]}, status=status
    )

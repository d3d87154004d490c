"""An HTTP Event Collector, which stores each event before the first that it refuses."""

import gzip
import ssl
import uuid
import zlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

from simulators.fault_script import FaultScript, ScriptedFault
from simulators.faults import Fault
from simulators.server import LoopbackServer, SimulatedPeer
from simulators.splunk import answers
from simulators.splunk.answers import HecError
from simulators.splunk.channels import Channels
from simulators.splunk.events import Event, check_event, identifier, parse_events

MAX_CONTENT_LENGTH = 838_860_800
"""Default of splunkd's `max_content_length`; Splunk Cloud and older versions have 1,000,000."""
EVENT_PATHS = ("services/collector", "services/collector/event", "services/collector/event/1.0")
HEALTH_PATHS = ("services/collector/health", "services/collector/health/1.0")
ACK_PATH = "services/collector/ack"


@dataclass(slots=True)
class Token:
    """A token of the collector."""

    enabled: bool = True
    acknowledges: bool = False
    default_index: str = "main"
    indexes: frozenset[str] = frozenset()
    """Indexes that an event may name; none: every index that there is."""


@dataclass(slots=True)
class Quirks:
    """What versions of splunkd do differently; each may be changed at any time."""

    number_after_bad_index: bool = False
    """An incorrect index has a number that is one too many, as measured on 10.4."""
    index_checked_last: bool = False
    """An event without content is refused for that, not for its index."""
    busy_after: int | None = None
    """So many events of each body are stored, and then the server is busy. None: it is not."""
    no_event_numbers: bool = False


@dataclass(frozen=True, slots=True)
class ReceivedCall:
    """One request, with the bytes of its body as they were sent."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class HecCollector(SimulatedPeer):
    """Runs a collector on loopback and a free port, in this event loop: `async with HecCollector() as collector`.

    `tokens` may be changed at any time. `tls` makes it a server of https.
    """

    tokens: dict[str, Token] = field(default_factory=dict)
    indexes: set[str] = field(default_factory=lambda: {"main", "jira", "jira_history"})
    tls: ssl.SSLContext | None = None
    max_content_length: int = MAX_CONTENT_LENGTH
    quirks: Quirks = field(default_factory=Quirks)
    healthy: bool = True

    def __post_init__(self) -> None:
        self.calls: deque[ReceivedCall] = deque(maxlen=10_000)
        self.channels = Channels()
        self._stored: dict[str, list[Event]] = {}
        self._poisons: set[str] = set()
        self._faults = FaultScript()
        self._server = LoopbackServer(self._handle, tls=self.tls)

    @property
    def url(self) -> str:
        return self._server.url

    def stored(self, index: str) -> list[Event]:
        """Return the events that an index has, in the order of their arrival, repeats included."""
        return self._stored.get(index, [])

    def stored_ids(self, index: str) -> list[str]:
        """Return the same as `organization/id` of each event."""
        return [identifier(event) for event in self.stored(index)]

    def poison(self, event_id: str) -> None:
        """Refuse the event of this id as badly formatted, until `clear_faults`."""
        self._poisons.add(event_id)

    def fault(
        self,
        fault: Fault,
        *,
        times: int | None = None,
        rate: float | None = None,
        skip: int = 0,
        path: str = "",
    ) -> ScriptedFault:
        """Add a fault, as `FaultScript.add` does; with `rate=1` it lasts until it is cancelled. `path`: the end of the paths it hits."""
        return self._faults.add(
            fault,
            times=times,
            rate=rate,
            skip=skip,
            only=lambda request: request.match_info["path"].endswith(path),
        )

    def clear_faults(self) -> None:
        """Remove every fault and every poison event, and make it healthy."""
        self._faults.clear()
        self._poisons.clear()
        self.healthy = True

    def index_everything(self) -> None:
        """Acknowledge each request that waits, from now on."""
        self.channels.index_everything()

    def restart(self, *, lose: str | None = None) -> None:
        """Forget channels and acknowledgements. `lose`: an index whose events were not indexed yet, and are lost."""
        self.channels.forget()
        if lose is not None:
            self._stored.pop(lose, None)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.content.read()
        path = request.match_info["path"]
        self.calls.append(ReceivedCall(request.method, path, request.headers, body))
        return await self._faults.answer(request, lambda: self._serve(request, path, body))

    def _serve(self, request: web.Request, path: str, body: bytes) -> web.Response:
        try:
            if path in HEALTH_PATHS and request.method == "GET":
                raise HecError(answers.HEALTHY if self.healthy else answers.QUEUES_FULL)
            if path not in (*EVENT_PATHS, ACK_PATH):
                return web.json_response(
                    {"text": "The requested URL was not found on this server.", "code": 404}, status=404
                )
            if request.method != "POST":
                return web.json_response({"text": "Method Not Allowed", "code": 405}, status=405)
            return self._serve_post(request, path, body)
        except HecError as error:
            return web.json_response(error.answer.document(), status=error.answer.status)

    def _serve_post(self, request: web.Request, path: str, body: bytes) -> web.Response:
        token = self._token(request)
        channel = request.headers.get("X-Splunk-Request-Channel") or request.query.get("channel")
        if path == ACK_PATH and not token.acknowledges:
            raise HecError(answers.ACK_DISABLED)
        if token.acknowledges:
            channel = _checked_channel(channel)
        if path == ACK_PATH:
            return self._acknowledge(channel or "", body)
        if len(body) > self.max_content_length:
            return web.Response(status=413, text="Content-Length too large", content_type="text/html")
        self._store(token, _decompressed(request, body))
        acknowledgement = {"ackId": self.channels.add(channel or "")} if token.acknowledges else {}
        return web.json_response({"text": "Success", "code": 0, **acknowledgement})

    def _token(self, request: web.Request) -> Token:
        authorization = request.headers.get("Authorization")
        if not authorization:
            raise HecError(answers.TOKEN_REQUIRED)
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() != "splunk" or not value:
            raise HecError(answers.INVALID_AUTHORIZATION)
        if value not in self.tokens:
            raise HecError(answers.INVALID_TOKEN)
        if not self.tokens[value].enabled:
            raise HecError(answers.TOKEN_DISABLED)
        return self.tokens[value]

    def _acknowledge(self, channel: str, body: bytes) -> web.Response:
        if channel not in self.channels:
            raise HecError(answers.INVALID_CHANNEL)
        (question,) = parse_events(body)
        return web.json_response({"acks": self.channels.ask(channel, question["acks"])})

    def _store(self, token: Token, body: bytes) -> None:
        """Store each event before the first that is refused, and raise HecError about that one."""
        number = -1
        try:
            for number, event in enumerate(parse_events(body)):
                if self.quirks.busy_after == number:
                    raise HecError(answers.BUSY)
                self._stored.setdefault(self._index(token, event), []).append(event)
        except HecError as error:
            refused = error.answer
            if self.quirks.no_event_numbers:
                raise HecError(replace(refused, event=None)) from None
            extra = self.quirks.number_after_bad_index and refused.code == answers.INCORRECT_INDEX.code
            raise HecError(refused if refused.event is not None else refused.about(number + extra)) from None
        if number < 0:
            raise HecError(answers.NO_DATA)

    def _index(self, token: Token, event: Event) -> str:
        """Return the index of an event that is in order."""
        if not self.quirks.index_checked_last:
            self._check_index(token, event)
        check_event(event)
        self._check_index(token, event)
        if identifier(event) in self._poisons:
            raise HecError(answers.INVALID_FORMAT)
        return str(event.get("index", token.default_index))

    def _check_index(self, token: Token, event: Event) -> None:
        index: Any = event.get("index", token.default_index)
        if index not in self.indexes or (token.indexes and index not in token.indexes):
            raise HecError(answers.INCORRECT_INDEX)


def _checked_channel(channel: str | None) -> str:
    if not channel:
        raise HecError(answers.CHANNEL_MISSING)
    try:
        return str(uuid.UUID(channel))
    except ValueError:
        raise HecError(answers.INVALID_CHANNEL) from None


def _decompressed(request: web.Request, body: bytes) -> bytes:
    if request.headers.get("Content-Encoding", "identity") != "gzip":
        return body
    try:
        return gzip.decompress(body)
    except (OSError, EOFError, zlib.error):
        raise HecError(answers.INVALID_FORMAT) from None

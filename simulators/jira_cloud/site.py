import json
import random
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from simulators.fault_script import FaultScript, ScriptedFault
from simulators.faults import Fault
from simulators.jira_cloud.access import AUDIT_SCOPES, AccessControl, Grant
from simulators.jira_cloud.files import RecordsFileError, read_records
from simulators.jira_cloud.log import AuditLog, AuditLogEntry
from simulators.jira_cloud.query import format_instant
from simulators.jira_cloud.quirks import Quirks
from simulators.jira_cloud.records import FIELDS, RecordGenerator
from simulators.jira_cloud.requests import LoggedRequest, find_premature_requests
from simulators.jira_cloud.token_bucket import TokenBucket
from simulators.server import LoopbackServer

AUDIT_PATH = "auditing/record"
ABSENT: Final = object()
"""As a value in `fields` of `add_record`: the field is left out."""


class SimulatedSite:
    """One Jira Cloud site. Times are milliseconds since 1970, waits seconds.

    `url`, `user` and `token` are what its administrator would give to the relay; `scoped_token` is good at
    `gateway_url` only, `token` at `url` only.
    """

    def __init__(
        self, name: str, seed: str, clock: Callable[[], int], *, first_id: int | None, cloud_id: str | None
    ) -> None:
        self.name = name
        self.server: LoopbackServer | None = None
        self.url = ""
        self.gateway_root = ""
        self.user = f"relay@{name}.example"
        self.quirks = Quirks()
        self.log = AuditLog()
        self.access = AccessControl()
        self.token_bucket = TokenBucket()
        self.script = FaultScript(random.Random(f"script {seed}").getrandbits(32))
        self.request_log: deque[LoggedRequest] = deque(maxlen=10_000)
        self.record_generator = RecordGenerator(seed)
        self._random = random.Random(f"site {seed}")
        self._token_random = random.Random(f"secrets {seed}")
        self._clock = clock
        self.cloud_id = cloud_id or str(uuid.UUID(int=self._token_random.getrandbits(128), version=4))
        self._next_id = self._random.randint(10_000, 20_000) if first_id is None else first_id
        self._page_actions: list[tuple[int, Callable[[], object]]] = []
        self.token = self.add_token()
        self.scoped_token = self.add_token(scopes=AUDIT_SCOPES[1])

    @property
    def gateway_url(self) -> str:
        return f"{self.gateway_root}/ex/jira/{self.cloud_id}"

    # What happens

    def add_record(
        self,
        content: str | Mapping[str, Any] | None = None,
        *,
        created: int | None = None,
        visible_after: float | None = 0.0,
        record_id: int | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """One record happens; what Jira will serve for it is returned.

        `content` is a summary, a whole body, or whatever comes next. `created` is now by the site's clock unless given.
        It can be seen `visible_after` seconds from now, but not before it was created; None: not before `reveal`.
        `fields` replaces anything on the wire, id and created included, without moving the record.
        """
        body = dict(content) if isinstance(content, Mapping) else self.record_generator.generate(content)
        at = self.now() if created is None else created
        new_id = self.allocate_id() if record_id is None else record_id
        self._next_id = max(self._next_id, new_id + 1)
        record = {**body, "id": new_id, "created": format_instant(at), **(fields or {})}
        known = [name for name in FIELDS if name in record]
        order = known + [name for name in record if name not in FIELDS]
        record = {name: record[name] for name in order if record[name] is not ABSENT}
        self.log.add(AuditLogEntry(new_id, at, _serialize(record)), self._visible_at(at, visible_after))
        return record

    def add_records(self, count: int, *, created: int | None = None) -> list[dict[str, Any]]:
        """`count` records in one and the same millisecond."""
        at = self.now() if created is None else created
        return [self.add_record(created=at) for _ in range(count)]

    def create_project(self, *, created: int | None = None) -> list[dict[str, Any]]:
        """About thirty records within six seconds, beginning now unless `created` says when."""
        at = self.now() if created is None else created
        records = []
        for body in self.record_generator.generate_project_creation():
            records.append(self.add_record(body, created=at))
            at += self._random.choice((0, 13, 17, 24, 30, 30, 150))
        return records

    def add_history(self, count: int, since: int, until: int) -> None:
        """A past: `count` records spread over [since, until), ids in the order of time."""
        for at in sorted(self._random.randrange(since, until) for _ in range(count)):
            self.add_record(created=at)

    def load_records(self, path: Path) -> int:
        """Takes over a JSON-lines file of records, visible at once; how many. RecordsFileError says what is wrong."""
        entries = read_records(path)
        known = [entry.id for entry in entries if entry.id in self.log]
        if known:
            raise RecordsFileError(f"{path}: record {known[0]} stands in the site {self.name} already")
        for entry in entries:
            self.log.add(entry, visible_at=0)
            self._next_id = max(self._next_id, entry.id + 1)
        return len(entries)

    def allocate_id(self) -> int:
        """The next id, now and then with a gap; for a record that is to happen later under an old id."""
        number = self._next_id
        self._next_id += 1 if self._random.random() < 0.95 else self._random.randint(2, 4)
        return number

    def reveal(self, *record_ids: int) -> None:
        """Shows what is hidden: these, or everything."""
        self.log.reveal(record_ids or None)

    def expire_oldest(self, count: int) -> None:
        """Retention deletes the oldest that can be seen."""
        self.log.advance(self._clock())
        self.log.delete_oldest(count)

    def after_pages(self, count: int, action: Callable[[], object]) -> None:
        """Does `action` once `count` more pages of audit records were served: while pages are read."""
        self._page_actions.append((count, action))

    def all_records(self) -> list[dict[str, Any]]:
        """Every record that happened, in full, whether it can be seen or not, by id."""
        return self.log.all_records()

    @property
    def hidden(self) -> set[int]:
        """Ids of what has happened and cannot be seen yet."""
        self.log.advance(self._clock())
        return self.log.hidden

    # Who may see it

    def add_token(
        self,
        user: str | None = None,
        *,
        scopes: Sequence[str] | frozenset[str] | None = None,
        administrator: bool = True,
    ) -> str:
        """A further token; with scopes it is good at the gateway only."""
        token = f"ATATT-simulated-{self._token_random.getrandbits(160):040x}"
        granted = None if scopes is None else frozenset(scopes)
        self.access.grant(token, Grant(user or self.user, granted, administrator))
        return token

    def rotate_tokens(self) -> str:
        """`token` and `scoped_token` die and are replaced; the new `token`."""
        self.access.revoke(self.token)
        self.access.revoke(self.scoped_token)
        self.token = self.add_token()
        self.scoped_token = self.add_token(scopes=AUDIT_SCOPES[1])
        return self.token

    # What goes wrong

    def fault(
        self,
        fault: Fault,
        *,
        times: int | None = None,
        seconds: float | None = None,
        rate: float | None = None,
        skip: int = 0,
        path: str = AUDIT_PATH,
    ) -> ScriptedFault:
        """As `FaultScript.add`, for requests whose path contains `path`, at the site and at the gateway."""
        return self.script.add(
            fault,
            times=times,
            seconds=seconds,
            rate=rate,
            skip=skip,
            only=lambda request: path in request.path,
        )

    def requests(self, path: str = AUDIT_PATH) -> list[LoggedRequest]:
        return [one for one in self.request_log if path in one.path]

    def premature_requests(self) -> list[LoggedRequest]:
        """Requests that came although an earlier answer had asked for more time. Empty: the client is polite.

        What was on its way already when that answer was given does not count.
        """
        return find_premature_requests(self.request_log)

    async def stop(self) -> None:
        """The site's own host refuses connections; the gateway still serves it."""
        if self.server is not None:
            await self.server.stop()

    async def start(self) -> None:
        """The site's own host listens, always at the same port."""
        if self.server is not None:
            self.url = await self.server.start()

    # For the server

    def now(self) -> int:
        """Milliseconds by the site's own clock."""
        return self._clock() + round(self.quirks.clock_skew_seconds * 1000)

    def advance(self) -> None:
        kept = self.quirks.retention_seconds
        self.log.advance(self._clock(), None if kept is None else self.now() - round(kept * 1000))

    def count_page(self) -> None:
        due = [action for count, action in self._page_actions if count <= 1]
        self._page_actions = [(count - 1, action) for count, action in self._page_actions if count > 1]
        for action in due:
            action()

    def _visible_at(self, created: int, visible_after: float | None) -> int | None:
        if visible_after is None:
            return None
        skew = self.now() - self._clock()
        return max(self._clock() + round(visible_after * 1000), created - skew)


def _serialize(record: Mapping[str, Any]) -> bytes:
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair can only be written as an escape
        return json.dumps(record, separators=(",", ":")).encode()

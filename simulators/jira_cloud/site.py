"""One simulated Jira Cloud site."""

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
"""A value in `fields` of `add_record` that leaves the field out."""


class SimulatedSite:
    """One Jira Cloud site. Instants are ms UTC, durations seconds.

    An administrator gives the relay `url`, `user` and `token`. `gateway_url` accepts only `scoped_token`, and
    `url` only `token`.
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

    # Records

    def add_record(
        self,
        content: str | Mapping[str, Any] | None = None,
        *,
        created: int | None = None,
        visible_after: float | None = 0.0,
        record_id: int | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Create a record, and return it as Jira serves it.

        `content` is a summary or a whole body; None draws the next kind. `created` is now by the site's clock unless
        given. The record becomes visible `visible_after` seconds from now, but not before it was created; None: when
        `reveal` is called. `fields` replaces any member of the served record, also id and created; the position in the
        log stays.
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
        """Create `count` records in the same millisecond."""
        at = self.now() if created is None else created
        return [self.add_record(created=at) for _ in range(count)]

    def create_project(self, *, created: int | None = None) -> list[dict[str, Any]]:
        """Create the records of a new project: about thirty within six seconds, from `created` or now on."""
        at = self.now() if created is None else created
        records = []
        for body in self.record_generator.generate_project_creation():
            records.append(self.add_record(body, created=at))
            at += self._random.choice((0, 13, 17, 24, 30, 30, 150))
        return records

    def add_history(self, count: int, since: int, until: int) -> None:
        """Create `count` past records at random times in [since, until); ids follow the times."""
        for at in sorted(self._random.randrange(since, until) for _ in range(count)):
            self.add_record(created=at)

    def load_records(self, path: Path) -> int:
        """Add the records of a JSON-lines file, visible at once. Return their number.

        Raises RecordsFileError when the file is invalid or an id exists already; then no record is added.
        """
        entries = read_records(path)
        known = [entry.id for entry in entries if entry.id in self.log]
        if known:
            raise RecordsFileError(f"{path}: the site {self.name} already has record {known[0]}")
        for entry in entries:
            self.log.add(entry, visible_at=0)
            self._next_id = max(self._next_id, entry.id + 1)
        return len(entries)

    def allocate_id(self) -> int:
        """Take the next id, now and then with a gap, for a record that is added later under an older id."""
        number = self._next_id
        self._next_id += 1 if self._random.random() < 0.95 else self._random.randint(2, 4)
        return number

    def reveal(self, *record_ids: int) -> None:
        """Make hidden records visible: those with these ids, or all if none is given."""
        self.log.reveal(record_ids or None)

    def expire_oldest(self, count: int) -> None:
        """Delete the oldest visible records, as retention does."""
        self.log.advance(self._clock())
        self.log.delete_oldest(count)

    def restore(self, at: int) -> None:
        """Restore the site from a backup of the instant `at`: later records are gone, and new ones get their ids."""
        self.log.advance(self._clock())
        self.log.restore(at)
        self._next_id = (
            max((record["id"] for record in self.log.all_records()), default=self._next_id - 1) + 1
        )

    def delete_newest(self, count: int) -> None:
        """Delete the newest visible records, so that the rows behind them move up."""
        self.log.advance(self._clock())
        self.log.delete_newest(count)

    def after_pages(self, count: int, action: Callable[[], object]) -> None:
        """Call `action` after `count` more pages of audit records, so that the log changes while it is read."""
        self._page_actions.append((count, action))

    def all_records(self) -> list[dict[str, Any]]:
        """Return every record that was created, visible or not, by id."""
        return self.log.all_records()

    @property
    def hidden(self) -> set[int]:
        """Ids of the records that are not visible yet."""
        self.log.advance(self._clock())
        return self.log.hidden

    # Tokens

    def add_token(
        self,
        user: str | None = None,
        *,
        scopes: Sequence[str] | frozenset[str] | None = None,
        administrator: bool = True,
    ) -> str:
        """Make a further token. With scopes, only the gateway accepts it."""
        token = f"ATATT-simulated-{self._token_random.getrandbits(160):040x}"
        granted = None if scopes is None else frozenset(scopes)
        self.access.grant(token, Grant(user or self.user, granted, administrator))
        return token

    def rotate_tokens(self) -> str:
        """Revoke `token` and `scoped_token`, and replace both. Return the new `token`."""
        self.access.revoke(self.token)
        self.access.revoke(self.scoped_token)
        self.token = self.add_token()
        self.scoped_token = self.add_token(scopes=AUDIT_SCOPES[1])
        return self.token

    # Faults

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
        """Add a fault, as `FaultScript.add` does, for requests to site or gateway whose path contains `path`."""
        return self.script.add(
            fault,
            times=times,
            seconds=seconds,
            rate=rate,
            skip=skip,
            only=lambda request: path in request.path,
        )

    def requests(self, path: str = AUDIT_PATH) -> list[LoggedRequest]:
        """Return the logged requests whose path contains `path`, oldest first; the log keeps the last 10,000."""
        return [one for one in self.request_log if path in one.path]

    def premature_requests(self) -> list[LoggedRequest]:
        """Return the requests that came before the end of a wait that an earlier answer asked for.

        Requests that were already on their way when that answer was sent do not count.
        """
        return find_premature_requests(self.request_log)

    async def stop(self) -> None:
        """Let the site's own host refuse connections; the gateway still serves the site."""
        if self.server is not None:
            await self.server.stop()

    async def start(self) -> None:
        """Let the site's own host listen, always at the same port."""
        if self.server is not None:
            self.url = await self.server.start()

    # For the server

    def now(self) -> int:
        """Return the time of the site's clock, in ms UTC."""
        return self._clock() + round(self.quirks.clock_skew_seconds * 1000)

    def advance(self) -> None:
        """Show and delete the records that are due by now."""
        kept = self.quirks.retention_seconds
        self.log.advance(self._clock(), None if kept is None else self.now() - round(kept * 1000))

    def count_page(self) -> None:
        """Count a served page, and call the actions that waited for it."""
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

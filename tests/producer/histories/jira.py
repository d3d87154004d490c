"""A replacement of producer.sources.jira_cloud.client that answers in memory, from the simulator's log."""

import json
from dataclasses import dataclass
from zlib import crc32

from producer.polling.window import PollingConfig
from producer.sources.errors import ErrorKind, RequestContext, SourceFailure
from producer.sources.jira_cloud.client import Account, TenantInfo
from producer.sources.jira_cloud.messages import make_failure
from producer.sources.jira_cloud.page import Page
from simulators.jira_cloud.log import AuditLog, AuditLogEntry, Selection
from simulators.jira_cloud.query import format_instant

CONFIG = PollingConfig()
OUTCOMES = ("ok", "unavailable", "wait", "broken", "too large")


@dataclass(frozen=True, slots=True)
class RecordTimes:
    created: int
    visible: int

    @property
    def promised(self):
        """Return whether the record becomes visible soon enough for a promise."""
        return self.visible - self.created <= CONFIG.allowed_lateness_ms


class FakeJira:
    """One site. `order`: newest first, another fixed one, or shuffled in each page. With `rejects_key`, no account is known.

    A record's number is its own for ever, and its summary says it; its id is the number unless the site was restored.
    """

    def __init__(self, now_ms, reuse_noticed=lambda _created: False):
        """`reuse_noticed`: whether the relay knows of an instant that ids were reused before it, on the same day."""
        self.now_ms = now_ms
        self._reuse_noticed = reuse_noticed
        self.log = AuditLog()
        self.record_times = {}
        self.removed = set()
        """Numbers of records that a restore removed."""
        self.max_page_size = 1_000
        self.order = "newest first"
        self.rejects_key = False
        self.renames = 0
        """How often a user was renamed: each page shows the present name in every record."""
        self.failing = set()
        """Ids of records that make each page that would hold them fail."""
        self._next_number = 100_000
        self._freed_ids = []
        """Ids of records that a restore removed, which new records get."""

    def add_record(self, created, visible, *, old_id=False):
        """Add a record; with `old_id`, its id is below all others."""
        number = 50_000 - len(self.record_times) if old_id else self._next_number
        self._next_number += 1
        # A reused id is first noticed for certain on a record that is newer than all that were published.
        at_once = created == visible == self.now_ms()
        reused = bool(self._freed_ids) and not old_id and (at_once or self._reuse_noticed(created))
        record_id = self._freed_ids.pop(0) if reused else number
        self.record_times[number] = RecordTimes(created, visible)
        record = {"id": record_id, "created": format_instant(created), "summary": str(number)}
        self.log.add(AuditLogEntry(record_id, created, json.dumps(record).encode()), visible)

    def restore(self, count):
        """Restore the site from a backup that lacks the last `count` visible records, and those of their time."""
        self.log.advance(self.now_ms())
        rows = sorted(self.log.select(Selection()), key=lambda row: row.created)
        if len(rows) < count:
            return
        backup = rows[-count].created - 1
        self._freed_ids = sorted({*self._freed_ids, *(row.id for row in rows if row.created > backup)})
        self.removed |= {number for number, record in self.record_times.items() if record.created > backup}
        self.log.restore(backup)

    def fail_last(self, count):
        """Let the last visible records fail each page from now on; 0: let all be served again."""
        self.log.advance(self.now_ms())
        self.failing = {row.id for row in self.log.select(Selection())[:count]}

    def page(self, since, until, offset, limit):
        now = self.now_ms()
        date = now // 1_000 * 1_000
        self.log.advance(now)
        if self.rejects_key:
            return Page((), 0, 2, date)
        rows = list(self.log.select(Selection(since, until)))
        if self.order == "another":
            rows.sort(key=lambda entry: crc32(b"%d" % entry.id))
        rows = rows[offset : offset + min(limit, self.max_page_size)]
        if self.order == "shuffled":
            rows.sort(key=lambda entry: crc32(b"%d %d" % (entry.id, offset)))
        if self.failing.intersection(entry.id for entry in rows):
            return make_failure(ErrorKind.UNAVAILABLE, RequestContext("failing", "simulated"), status=500)
        name = {"category": f"name {self.renames}"}
        records = tuple(json.loads(entry.raw) | name for entry in rows)
        return Page(records, self.log.total, 100 * len(rows), date)

    def failure_for(self, outcome, name):
        """Return the failure for an outcome, None for a success."""
        context = RequestContext(name, "simulated")
        if outcome == "wait":
            return SourceFailure(ErrorKind.RATE_LIMITED, f"{name}: later", 30.0)
        kinds = {
            "unavailable": ErrorKind.UNAVAILABLE,
            "broken": ErrorKind.BROKEN_ANSWER,
            "too large": ErrorKind.TOO_LARGE,
        }
        return make_failure(kinds[outcome], context) if outcome in kinds else None


async def _respond(process, name, compute):
    """Compute Jira's answer now, and return it or a failure when the step is completed."""
    jira = process.world.jiras[name]
    response = compute(jira)
    outcome = await process.step("jira")
    return jira.failure_for(outcome, name) or response


async def fetch_page(process, endpoint, from_ms, until_ms, offset, limit, **_limits):
    return await _respond(
        process, endpoint.context.organization, lambda jira: jira.page(from_ms, until_ms, offset, limit)
    )


async def probe(process, endpoint, offset=0, count=1, **_limits):
    return await _respond(
        process, endpoint.context.organization, lambda jira: jira.page(None, None, offset, count)
    )


async def myself(process, endpoint, **_limits):
    def account(jira):
        return (
            make_failure(ErrorKind.KEY_REFUSED, endpoint.context, status=401)
            if jira.rejects_key
            else Account("1")
        )

    return await _respond(process, endpoint.context.organization, account)


async def tenant_info(process, organization, _url, **_limits):
    return await _respond(process, organization, lambda _jira: TenantInfo(f"site-of-{organization}"))

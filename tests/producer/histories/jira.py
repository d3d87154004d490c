"""Jira as producer.jira shows it: answers in memory, from the sandbox's own log."""

import json
from dataclasses import dataclass
from zlib import crc32

from producer.polling.window import Rules
from producer.sources.errors import Asked, Failure, Kind, failure
from producer.sources.jira_cloud.client import Account
from producer.sources.jira_cloud.client import Site as SiteBehind
from producer.sources.jira_cloud.page import Page
from simulators.jira_cloud.log import AuditLog, Entry, Selection
from simulators.jira_cloud.query import format_instant

RULES = Rules()
OUTCOMES = ("ok", "unavailable", "wait", "broken", "too large")
Site = SiteBehind


@dataclass(frozen=True, slots=True)
class Happened:
    created: int
    visible: int

    @property
    def promised(self):
        """Whether it becomes visible soon enough to be found for certain."""
        return self.visible - self.created <= RULES.late


class Jira:
    """One site. `order`: newest first, another that stays the same, or shuffled within each page.

    A `dumb` one shows nothing and knows nobody, and says so only where it is asked who we are.
    """

    def __init__(self, now_ms):
        self.now_ms = now_ms
        self.log = AuditLog()
        self.happened = {}
        self.most = 1_000
        self.order = "newest first"
        self.dumb = False
        self._next_id = 100_000

    def happen(self, created, visible, *, old_id=False):
        """A record; `old_id`: a lower one than all that there are."""
        number = 50_000 - len(self.happened) if old_id else self._next_id
        self._next_id += 1
        self.happened[number] = Happened(created, visible)
        raw = json.dumps({"id": number, "created": format_instant(created)}).encode()
        self.log.add(Entry(number, created, raw), visible)

    def page(self, since, until, offset, limit):
        now = self.now_ms()
        date = now // 1_000 * 1_000
        self.log.advance(now)
        if self.dumb:
            return Page((), 0, 2, date)
        rows = list(self.log.select(Selection(since, until)))
        if self.order == "another":
            rows.sort(key=lambda entry: crc32(b"%d" % entry.id))
        rows = rows[offset : offset + min(limit, self.most)]
        if self.order == "shuffled":
            rows.sort(key=lambda entry: crc32(b"%d %d" % (entry.id, offset)))
        return Page(tuple(json.loads(entry.raw) for entry in rows), self.log.total, 100 * len(rows), date)

    def outcome(self, outcome, name):
        """The failure in the place of an answer, if it is one."""
        asked = Asked(name, "simulated")
        if outcome == "wait":
            return Failure(Kind.RATE_LIMITED, f"{name}: later", 30.0)
        kinds = {
            "unavailable": Kind.UNAVAILABLE,
            "broken": Kind.BROKEN_ANSWER,
            "too large": Kind.TOO_LARGE,
        }
        return failure(kinds[outcome], asked) if outcome in kinds else None


async def _ask(process, name, compute):
    """What Jira answers when it is asked; it arrives when the step is let go."""
    jira = process.world.jiras[name]
    answer = compute(jira)
    outcome = await process.step("jira")
    return jira.outcome(outcome, name) or answer


async def fetch_page(process, access, from_ms, until_ms, offset, limit):
    return await _ask(
        process, access.asked.organization, lambda jira: jira.page(from_ms, until_ms, offset, limit)
    )


async def probe(process, access, offset=0):
    return await _ask(process, access.asked.organization, lambda jira: jira.page(None, None, offset, 1))


async def myself(process, access):
    def known(jira):
        return failure(Kind.KEY_REFUSED, access.asked, status=401) if jira.dumb else Account("1")

    return await _ask(process, access.asked.organization, known)


async def tenant_info(process, organization, _url):
    return await _ask(process, organization, lambda _jira: Site(f"site-of-{organization}"))

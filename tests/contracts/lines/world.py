"""The world of the invented source: a file, and a reader of it that can fail."""

import asyncio
import json
import uuid
from contextlib import asynccontextmanager

from producer.sources.catalogue import ProducerSettings
from producer.sources.errors import ErrorKind, RetryAction
from relay.organizations import Organization
from tests.contracts.lines import source
from tests.support.jira import StubCredentials

FAULTS = {
    "denied": (PermissionError(), ErrorKind.FORBIDDEN, RetryAction.FIX),
    "missing": (FileNotFoundError(), ErrorKind.UNREACHABLE, RetryAction.RETRY),
    "truncated": ([b'{"uuid": "1', b"x"], ErrorKind.BROKEN_ANSWER, RetryAction.RETRY),
}


class ScriptedReader:
    """Reads the file, but for a request that is to fail or to hang."""

    def __init__(self):
        self.requests = 0
        self.faults = []
        self.actions = []

    async def __call__(self, path, first, count):
        self.requests += 1
        fault = next((one for one in self.faults if one.hits()), None)
        if fault is not None:
            return await fault.play()
        lines = await source.read_lines(path, first, count)
        for at, action in self.actions:
            if at == self.requests:
                action()
        return lines


class ReaderFault:
    def __init__(self, outcome, times, skip=0):
        self._outcome = outcome
        self._left = times
        self._skip = skip
        self._played = asyncio.Event()

    def hits(self):
        if self._skip:
            self._skip -= 1
            return False
        if self._left is not None:
            self._left -= 1
        return self._left is None or self._left >= 0

    async def play(self):
        self._played.set()
        if self._outcome is None:
            await asyncio.Event().wait()
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    async def reached(self):
        await self._played.wait()

    def cancel(self):
        self._left = 0


class LinesWorld:
    several_results = 1_000
    too_many_of_one_ms = None
    has_http = has_clock = has_identity = empty_proves_nothing = False
    key = "no key"

    def __init__(self, path):
        self.path = path
        self.path.touch()
        self.faults = {name: (kind, action) for name, (_, kind, action) in FAULTS.items()}
        self.reader = ScriptedReader()
        self.config = ProducerSettings()
        self.credentials = StubCredentials()

    def organization(self, **fields):
        return Organization("acme", self.path.as_uri(), "nobody", 0, 0, 1, **fields)

    def write(self, *records):
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(record)}\n" for record in records)
        return list(records)

    def add(self, created, count=1):
        return self.write(
            *({"uuid": str(uuid.uuid4()), "at": created, "text": "Something happened"} for _ in range(count))
        )

    def add_odd_records(self, created):
        return self.write(
            {"uuid": "", "at": created, "text": None},
            {"uuid": "ü\ud800", "at": created, "text": "ß", "more": [1, {"x": None}]},
        )

    def as_restored(self, record):
        return record

    def small_pages(self):
        """A page of a file is as long as it is asked for."""

    def after_requests(self, count, action):
        self.reader.actions.append((self.reader.requests + count, action))

    delete_newest = None

    def fault(self, name, *, times):
        return self._add(ReaderFault(FAULTS[name][0], times))

    def hang(self, skip):
        return self._add(ReaderFault(None, 1, skip))

    def _add(self, fault):
        self.reader.faults.append(fault)
        return fault


@asynccontextmanager
async def lines_world(directory):
    yield LinesWorld(directory / "acme.jsonl")

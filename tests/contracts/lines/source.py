"""The Source contract for a file of JSON lines, one record each: {"uuid": "…", "at": ms, "text": "…", …}.

The answers to the questions of docs/development/new-source.md:

- Lines are in the order of writing. A new line comes at the end, so lines that were read do not move.
- A line may be written any time after its `at`; its ordering time is `at` all the same.
- The id is text. The event's id is the first 63 bits of the text's SHA-256, and the text stays in `unmodeled`.
- `at` is in ms; a window is half-open here, as the caller's is.
- A window may return any number of lines; the end of the file is the end.
- An empty answer counts: a file that cannot be read is an error and never an empty answer.
- Lines are kept for ever, the file has no clock, no identity, and no limits beside the process's slots.
"""

import asyncio
import json
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from producer.events import TEXT_FIELDS, UnreadableRecord, to_json
from producer.sources.clock_skew import ClockSkew
from producer.sources.contract import (
    ConnectionTestResult,
    InputRules,
    SourceKind,
    SourceTraits,
    ignore_retry,
)
from producer.sources.errors import ErrorKind, RequestContext, RetryAction, SourceError, make_failure
from producer.sources.purpose import Purpose
from producer.sources.throttle import RequestThrottle, SiteThrottle
from producer.sources.window_result import WindowResult
from producer.state.intervals import TimeRange
from relay.url_policy import UrlError

PAGE_LINES = 100
RESULT_LINES = 300
ATTEMPTS = 3


async def read_lines(path, first, count):
    """Return lines `first` to `first + count` of a file, without their ends. Raises OSError."""

    def read():
        return path.read_bytes().splitlines(keepends=True)[first : first + count]

    return await asyncio.to_thread(read)


class LinesSource:
    traits = SourceTraits(page_records=PAGE_LINES)
    identity = None
    clock_skew = ClockSkew()

    def __init__(self, organization, site, setup, reader):
        self.organization = organization
        self.throttle_key = organization.url
        self._path = Path(urlsplit(organization.url).path)
        self._throttle = RequestThrottle(site, setup.slots, lambda: None, setup.backoff)
        self._reader = reader

    async def read(self, window, purpose=Purpose.LIVE, *, on_retry=ignore_retry):
        lines = await self._all_lines(on_retry, purpose)
        items = [to_event(line, self.organization.name) for line in lines]
        events = sorted(
            {one["id"]: one for one in items if isinstance(one, dict) and one["created"] in window}.values(),
            key=lambda one: (one["created"], one["id"]),
        )
        unreadable = tuple(one for one in items if isinstance(one, UnreadableRecord))
        start = window.start
        while events:
            # A result ends between two milliseconds, so that no event of its last one is left out.
            count = min(RESULT_LINES, len(events))
            while count < len(events) and events[count]["created"] == events[count - 1]["created"]:
                count += 1
            chosen, events = events[:count], events[count:]
            end = events[0]["created"] if events else window.end
            yield make_result(TimeRange(start, end), chosen, unreadable)
            start, unreadable = end, ()
        if start < window.end:
            yield make_result(TimeRange(start, window.end), [], unreadable)

    async def bind_identity(self, bound_to):
        """A file has no identity."""

    async def verify_empty(self, empty, purpose=Purpose.LIVE):
        """An unreadable file is an error, so an empty answer counts."""

    async def probe_clock(self):
        await self._page(0, 1)

    async def oldest(self, purpose=Purpose.LIVE):
        items = [to_event(line, "") for line in await self._all_lines(ignore_retry, purpose)]
        return min((one["created"] for one in items if isinstance(one, dict)), default=None)

    def restore(self, event):
        record = {"uuid": None, "at": event["created"], "text": event["summary"]}
        return to_json({**record, **json.loads(event["unmodeled"])}).encode()

    def parse_record(self, raw):
        return to_event(raw, self.organization.name)

    async def _all_lines(self, on_retry, purpose=Purpose.LIVE):
        lines = []
        while page := await self._page_with_retries(len(lines), on_retry, purpose):
            lines += page
        return lines

    async def _page_with_retries(self, first, on_retry, purpose):
        for _ in range(ATTEMPTS - 1):
            try:
                return await self._page(first, PAGE_LINES, purpose)
            except SourceError as error:
                if error.action is RetryAction.FIX:
                    raise
                on_retry(error)
        return await self._page(first, PAGE_LINES, purpose)

    async def _page(self, first, count, purpose=Purpose.LIVE):
        async def send():
            context = RequestContext(self.organization.name, self._path.name)
            try:
                lines = await self._reader(self._path, first, count)
            except PermissionError:
                raise self._throttle.back_off(make_failure(ErrorKind.FORBIDDEN, context), purpose) from None
            except OSError as error:
                quote = type(error).__name__
                raise self._throttle.back_off(
                    make_failure(ErrorKind.UNREACHABLE, context, quote=quote), purpose
                ) from None
            if not all(line.endswith(b"\n") for line in lines):
                raise self._throttle.back_off(make_failure(ErrorKind.BROKEN_ANSWER, context), purpose)
            self._throttle.succeeded(purpose)
            return lines

        return await self._throttle.run(send, purpose)


class LinesSources:
    def __init__(self, setup, reader):
        self._setup = setup
        self._reader = reader
        self._throttles = {}
        self._sources = {}

    def source_for(self, organization):
        source = self._sources.get(organization.name)
        if source is None or source.organization != organization:
            site = self._throttles.setdefault(organization.url, SiteThrottle())
            source = LinesSource(organization, site, self._setup, self._reader)
            self._sources[organization.name] = source
        return source

    def remove(self, organization):
        self._sources.pop(organization, None)


@asynccontextmanager
async def open_lines(setup, reader=read_lines):
    yield LinesSources(setup, reader)


class LinesConnectionTest:
    def __init__(self, reader):
        self._reader = reader

    def check_url(self, organization):
        parse_file_url(organization.url)

    async def run(self, organization, key, *, new_key=False):  # noqa: ARG002
        self.check_url(organization)
        path = Path(urlsplit(organization.url).path)
        try:
            await self._reader(path, 0, 1)
        except OSError as error:
            kind = ErrorKind.FORBIDDEN if isinstance(error, PermissionError) else ErrorKind.UNREACHABLE
            failure = make_failure(kind, RequestContext(organization.name, path.name))
            return ConnectionTestResult(failure, failure.message)
        return ConnectionTestResult(None, f"{organization.name}: the file can be read.")


@asynccontextmanager
async def open_lines_test(config, reader=read_lines):  # noqa: ARG001
    yield LinesConnectionTest(reader)


def parse_file_url(text):
    url = urlsplit(text)
    if url.scheme != "file" or url.netloc or not url.path.startswith("/"):
        raise UrlError(f"{text} is not a file of this machine: write file:// and an absolute path.")
    return Path(url.path).as_uri()


INPUT_RULES = InputRules(
    parse_url=parse_file_url,
    default_name=lambda url: Path(urlsplit(url).path).stem,
    is_user=lambda user: user == "nobody",
    user_advice="a file has no user, so give nobody",
    max_backfill_days=3_650,
)


def to_event(line, organization):
    try:
        record = json.loads(line)
        uuid, created = record.pop("uuid"), record.pop("at")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        return UnreadableRecord(f"the line is no record ({type(error).__name__})", line.strip())
    return {
        "organization": organization,
        "id": int.from_bytes(sha256(uuid.encode("utf-8", "surrogatepass")).digest()[:8]) >> 1,
        "created": created,
        **dict.fromkeys(TEXT_FIELDS),
        "summary": record.pop("text", None),
        "objectItem": None,
        "changedValues": None,
        "associatedItems": None,
        "unmodeled": to_json({"uuid": uuid, **record}),
    }


def make_result(window, events, unreadable):
    count = len(events) + len(unreadable)
    return WindowResult(window, window, tuple(events), unreadable, count, 0, proven=True)


LINES = SourceKind(open_lines, open_lines_test, INPUT_RULES, to_event)

"""Windows of Jira's audit log: pages fetched one by one, repeated, made smaller, and read around what Jira cannot serve."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Final

from producer.events import Event, UnreadableRecord
from producer.sources.contract import OnRetry, ignore_retry
from producer.sources.errors import ErrorKind, RetryAction, SourceError, SourceFailure
from producer.sources.jira_cloud.mapping import to_event
from producer.sources.jira_cloud.millisecond_reader import MillisecondReader
from producer.sources.jira_cloud.misplaced import MisplacedRecords
from producer.sources.jira_cloud.page import Page
from producer.sources.jira_cloud.pager import Pager, PageRequest, PagingLimits
from producer.sources.jira_cloud.request import RequestLimits
from producer.sources.jira_cloud.window_proof import outside_window_failure
from producer.sources.purpose import Purpose
from producer.sources.throttle import RequestThrottle
from producer.sources.window_result import WindowResult
from producer.state.intervals import TimeRange
from relay.organizations import Organization
from relay.url_policy import split_url

TRANSIENT: Final = {RetryAction.RETRY, RetryAction.WAIT}

FetchPage = Callable[[PageRequest, Purpose], Awaitable[Page]]


@dataclass(frozen=True, slots=True)
class JiraCloudLimits:
    """Bounds of paging and of one request, and how often a failure is repeated."""

    paging: PagingLimits = field(default_factory=PagingLimits)
    request: RequestLimits = field(default_factory=RequestLimits)
    page_attempts: int = 5
    """Tries of one page. A window of many pages that began anew after each failure would never end where one request
    in ten fails."""
    identity_attempts: int = 3
    """Failed tries after which a site that does not tell its id is believed."""


class WindowReader:
    """Reads windows of one organization, each as `Source.read` promises."""

    def __init__(
        self,
        organization: Organization,
        fetch_page: FetchPage,
        throttle: RequestThrottle,
        limits: JiraCloudLimits,
        misplaced: MisplacedRecords,
    ) -> None:
        """`misplaced`: of the site, across windows."""
        self._misplaced = misplaced
        self._organization = organization.name
        self._host = split_url(organization.url)[0].authority
        self._fetch_page = fetch_page
        self._throttle = throttle
        self._limits = limits

    async def read(
        self, window: TimeRange, purpose: Purpose, on_retry: OnRetry
    ) -> AsyncGenerator[WindowResult, None]:
        if purpose is Purpose.UNREAD_RANGES and window.width == 1:
            result, failure = await self._judge(await self._read_millisecond(window), purpose)
            yield result
            if failure is not None:
                raise self._throttle.back_off(failure, purpose)
            return
        async with aclosing(self._read_pages(window, purpose, on_retry)) as results:
            async for result in results:
                yield result

    async def _read_pages(
        self, window: TimeRange, purpose: Purpose, on_retry: OnRetry
    ) -> AsyncGenerator[WindowResult, None]:
        pager = Pager([window], self._limits.paging)
        while (request := pager.next_request) is not None:
            try:
                page = await self._fetch_with_retries(request, purpose, on_retry)
            except SourceError as error:
                if error.action is not RetryAction.REDUCE_PAGE:
                    raise
                if not pager.shrink_page():
                    # One record alone is too large. REDUCE_PAGE has no wait, so this would be a tight loop.
                    failure = replace(error.failure, kind=ErrorKind.BROKEN_ANSWER)
                    raise self._throttle.back_off(failure, purpose) from error
                continue
            if (result := pager.add(self._items(page), page.size, page.date_ms)) is None:
                continue
            result, doubt = await self._judge(result, purpose)
            yield result
            if doubt is not None:
                raise self._throttle.back_off(doubt, purpose)

    async def _judge(
        self, result: WindowResult, purpose: Purpose
    ) -> tuple[WindowResult, SourceFailure | None]:
        """Return the result with misplaced records apart, and the failure that others far outside are; None: there are none.

        With a failure, the result's events are published, but its window was not read: no cursor may move over it.
        """
        result = await self._without_misplaced(result, purpose)
        if not result.far_outside_window:
            return result, None
        failure = outside_window_failure(self._organization, self._host, len(result.far_outside_window))
        return replace(result, covered=TimeRange(result.window.start, result.window.start)), failure

    async def _without_misplaced(self, result: WindowResult, purpose: Purpose) -> WindowResult:
        """Return the result with misplaced records apart; ask Jira about those that are outside and not known to be.

        Where that question fails they stay suspects, and the window's own records are published all the same.
        """
        result = self._misplaced.without_known(result)
        if not result.far_outside_window:
            return result
        question = self._misplaced.question(result, self._limits.paging.page_records)
        if question is None:
            return result
        try:
            answer = await self._fetch_page(question.request, purpose)
        except SourceError:
            return result
        self._misplaced.note(question, self._items(answer))
        return self._misplaced.without_known(result)

    async def _fetch_with_retries(self, request: PageRequest, purpose: Purpose, on_retry: OnRetry) -> Page:
        attempts = 1 if purpose is Purpose.UNREAD_RANGES else self._limits.page_attempts
        for _ in range(attempts - 1):
            try:
                return await self._fetch_page(request, purpose)
            except SourceError as error:
                if error.action not in TRANSIENT:
                    raise
                on_retry(error)
                await asyncio.sleep(self._throttle.timing.page_pause_seconds)
        return await self._fetch_page(request, purpose)

    async def _read_millisecond(self, window: TimeRange) -> WindowResult:
        """Read one millisecond of an unread range: whole, together with the one before or the one after it, or else record by record.

        Jira answers nothing for one millisecond alone, and the record that it fails to serve may be in either neighbour.
        """
        for requested in (window, TimeRange(window.start, window.start + 2)):
            try:
                async with aclosing(
                    self._read_pages(requested, Purpose.UNREAD_RANGES, ignore_retry)
                ) as results:
                    return _part([result async for result in results], window)
            except SourceError as error:
                if not error.failure.may_concern_records:
                    raise
        return await self._read_around_failures(window)

    async def _read_around_failures(self, window: TimeRange) -> WindowResult:
        reader = MillisecondReader(window, self._limits.paging.page_records)
        while (request := reader.next_request) is not None:
            try:
                page = await self._fetch_page(request, Purpose.UNREAD_RANGES)
            except SourceError as error:
                failure = error.failure
                if error.action is RetryAction.REDUCE_PAGE:
                    failure = replace(failure, kind=ErrorKind.BROKEN_ANSWER)
                if not failure.may_concern_records:
                    raise
                if not reader.fail(failure):
                    raise SourceError(failure, error.retry_seconds) from error
            else:
                reader.add(self._items(page))
        return reader.result()

    def _items(self, page: Page) -> Sequence[Event | UnreadableRecord]:
        return [to_event(record, self._organization) for record in page.records]


def _part(results: Sequence[WindowResult], window: TimeRange) -> WindowResult:
    """Return the part of these adjoining results that is in the window."""
    return WindowResult(
        window=window,
        covered=TimeRange(window.start, min(window.end, results[-1].covered.end)),
        events=tuple(event for result in results for event in result.events if event["created"] in window),
        unreadable=tuple(record for result in results for record in result.unreadable),
        record_count=sum(result.record_count for result in results),
        outside_window=0,
        proven=all(result.proven for result in results),
        misplaced=tuple(event for result in results for event in result.misplaced),
    )

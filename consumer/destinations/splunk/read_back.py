"""Reading back Splunk: a search job over the indexed field that identifies an event."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from consumer.destinations.connection import open_client
from consumer.destinations.credential_files import CredentialFiles
from consumer.destinations.read_back import AcceptedEvents, ReadBackError
from consumer.destinations.splunk.config import SplunkConfig
from consumer.destinations.splunk.credentials import load_read_back_token
from consumer.destinations.splunk.rows import UID_FIELD
from relay.errors import describe, one_line

JOB_SECONDS = 120.0
PAGE_RESULTS = 10_000
"""Results of one request; splunkd returns at most 50,000 (limits.conf, maxresultrows)."""
JOBS_PATH, RESULTS_PATH = "/services/search/jobs", "/services/search/v2/jobs"


@asynccontextmanager
async def open_read_back(name: str, config: SplunkConfig) -> AsyncIterator["SearchReadBack"]:
    """Open the reader of the destination `name`. Raises RelayError for a token or certificate that cannot be used."""
    files = CredentialFiles(name, config, lambda: load_read_back_token(name, config), lambda token: [token])
    async with open_client(files.tls, 1) as client:
        yield SearchReadBack(name, config, files, client)


class SearchReadBack:
    """Asks one search head; a search job a day of an organization."""

    def __init__(
        self, name: str, config: SplunkConfig, files: CredentialFiles[str], client: httpx.AsyncClient
    ) -> None:
        self._name, self._config, self._files, self._client = name, config, files, client

    async def missing(self, accepted: AcceptedEvents) -> set[str]:
        """Return the uids that no index of the organization has. Raises ReadBackError."""
        try:
            async with asyncio.timeout(JOB_SECONDS):
                found = await self._search(accepted)
        except TimeoutError:
            raise ReadBackError(f"The search did not end within {JOB_SECONDS:g} s. Try again.") from None
        except httpx.HTTPError as error:
            said = one_line(self._files.redact(describe(error)))
            raise ReadBackError(f"The connection to the search head failed: {said}.") from error
        if accepted.uids and not found:
            # splunkd answers about an index that a role may not search as about an empty one.
            raise ReadBackError(
                f"Splunk shows no event of this day at all. Check that the role of destinations.{self._name}.read_back_token may search"
                " its indexes; if it may, all of them are lost."
            )
        return set(accepted.uids) - found

    async def _search(self, accepted: AcceptedEvents) -> set[str]:
        form = {
            "search": day_search(self._config, accepted.organization),
            "earliest_time": f"{accepted.start / 1000:.3f}",
            "latest_time": f"{accepted.end / 1000:.3f}",
            "exec_mode": "blocking",
            "output_mode": "json",
        }
        job = str((await self._request("POST", JOBS_PATH, form)).get("sid"))
        try:
            content = (await self._request("GET", f"{JOBS_PATH}/{job}"))["entry"][0]["content"]
            count = self._checked_count(content)
            found = set[str]()
            for offset in range(0, count, PAGE_RESULTS):
                page = await self._request("GET", f"{RESULTS_PATH}/{job}/results", offset=offset)
                found |= {str(each[UID_FIELD]) for each in page["results"]}
        except (LookupError, TypeError, ValueError, AttributeError):
            raise ReadBackError(
                "The answer is not that of a search head. Check read_back_endpoint."
            ) from None
        finally:
            with contextlib.suppress(httpx.HTTPError, ReadBackError):
                await self._request("DELETE", f"{JOBS_PATH}/{job}")
        if len(found) != count:
            raise ReadBackError(f"The search found {count:,} events and returned {len(found):,}. Try again.")
        return found

    def _checked_count(self, content: Mapping[str, Any]) -> int:
        """Return the count of results of a job that searched everything. A job with a warning may lack those of a peer."""
        faults = [each for each in content.get("messages", ()) if each["type"] in {"WARN", "ERROR", "FATAL"}]
        if faults or content["isFailed"] or not content["isDone"] or content.get("isFinalized"):
            said = one_line(faults[0]["text"]) if faults else str(content.get("dispatchState"))
            raise ReadBackError(f"The search did not see everything ({said}). Try again.")
        return int(content["resultCount"])

    async def _request(
        self, method: str, path: str, form: Mapping[str, str] | None = None, *, offset: int | None = None
    ) -> dict[str, Any]:
        parameters = {"output_mode": "json"}
        if offset is not None:
            parameters |= {"offset": str(offset), "count": str(PAGE_RESULTS)}

        async def send() -> httpx.Response:
            return await self._client.request(
                method,
                f"{self._config.read_back_endpoint}{path}",
                params={} if form else parameters,
                data=form,
                headers={"Authorization": f"Bearer {self._files.current}"},
            )

        response = await self._files.request(send, lambda answer: answer.status_code == 401)
        if not response.is_success:
            raise ReadBackError(self._problem(response.status_code, response.content))
        try:
            answer: dict[str, Any] = response.json()
        except ValueError:
            raise ReadBackError(
                "The answer is not that of a search head. Check read_back_endpoint."
            ) from None
        return answer

    def _problem(self, status: int, content: bytes) -> str:
        try:
            said = one_line(self._files.redact(str(json.loads(content)["messages"][0]["text"])))
        except (ValueError, LookupError, TypeError):
            said = "it says no more"
        if status in {401, 403}:
            return (
                f"Splunk refuses destinations.{self._name}.read_back_token ({status}: {said}). It is an authentication token of a user with"
                " the capability search, and not the token of the collector."
            )
        return f"The search failed ({status}: {said}). Check read_back_endpoint: the management port, 8089."


def day_search(config: SplunkConfig, organization: str) -> str:
    """Return the search for the uids of an organization in its indexes. It reads indexed fields alone."""
    indexes = dict.fromkeys((
        config.by_organization.get(organization, config.index),
        config.history_by_organization.get(organization, config.history_index),
    ))  # fmt: skip
    named = " OR ".join(f'index="{each}"' for each in indexes if each is not None)
    return (
        f"| tstats count where ({named}) host={json.dumps(organization, ensure_ascii=False)} by {UID_FIELD}"
    )

"""Reading back a workspace, through the query API of Log Analytics.

Azure answers an upload with 204 before it stores the rows, and drops some without an error: this is the one way to see them.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from azure.core.exceptions import AzureError

from consumer.destinations.connection import open_client
from consumer.destinations.read_back import AcceptedEvents, ReadBackError
from consumer.destinations.sentinel.config import SentinelConfig
from relay.credentials.azure import describe_azure_error, open_credential
from relay.errors import RelayError, describe, one_line
from relay.http import create_tls_context
from relay.timestamps import to_iso
from relay.url_policy import parse_origin

QUERY_SECONDS = 120.0
_CLOUDS = {  # endpoint and scope. Source: Azure Monitor, "Log Analytics API request format", and azure-monitor-query
    "public": ("https://api.loganalytics.azure.com", "https://api.loganalytics.io/.default"),
    "usgov": ("https://api.loganalytics.us", "https://api.loganalytics.us/.default"),
    "china": ("https://api.loganalytics.azure.cn", "https://api.loganalytics.azure.cn/.default"),
}
_ROLE = "Give its identity the role Log Analytics Reader on the workspace"


@asynccontextmanager
async def open_read_back(name: str, config: SentinelConfig) -> AsyncIterator["WorkspaceReadBack"]:
    """Open the reader of the destination `name`. Raises RelayError for settings that cannot work."""
    endpoint, scope = _CLOUDS[config.cloud]
    origin = parse_origin(config.query_endpoint or endpoint)
    if config.query_endpoint not in {None, endpoint} and not origin.loopback:
        raise RelayError(
            f"destinations.{name}.query_endpoint is {config.query_endpoint}, which is not that of the cloud {config.cloud}: {endpoint}."
            " Leave it out."
        )
    try:
        credential = open_credential(config.read_back_credential, config.cloud)
    except ValueError as error:
        raise RelayError(
            f"destinations.{name}.read_back_credential cannot be used: {describe(error)}."
        ) from error
    async with credential, open_client(create_tls_context(None), 1) as client:

        async def token() -> str:
            try:
                return (await credential.get_token(scope)).token
            except (AzureError, ValueError, OSError) as error:
                cause = describe_azure_error(error).removesuffix(".")
                raise ReadBackError(
                    f"Azure issues no token: {cause}. Check destinations.{name}.read_back_credential and the AZURE_… variables it reads."
                ) from error

        url = f"{(config.query_endpoint or endpoint)}/v1/workspaces/{config.workspace_id}/query"
        yield WorkspaceReadBack(name, config, client, url, token)


class WorkspaceReadBack:
    """Asks one workspace; one query a day of an organization."""

    def __init__(
        self, name: str, config: SentinelConfig, client: httpx.AsyncClient, url: str, token: Any
    ) -> None:
        self._name, self._config, self._client, self._url, self._token = name, config, client, url, token

    async def missing(self, accepted: AcceptedEvents) -> set[str]:
        """Return the uids that neither table has. Raises ReadBackError."""
        query = day_query(self._config.read_back_tables, accepted)
        try:
            async with asyncio.timeout(QUERY_SECONDS):
                response = await self._client.post(
                    self._url,
                    json={"query": query},
                    headers={"Authorization": f"Bearer {await self._token()}", "Prefer": "wait=110"},
                )
        except TimeoutError:
            raise ReadBackError(
                f"The workspace did not answer within {QUERY_SECONDS:g} s. Try again."
            ) from None
        except httpx.HTTPError as error:
            raise ReadBackError(
                f"The connection to the workspace failed: {one_line(describe(error))}."
            ) from error
        return set(accepted.uids) - stored_uids(self._name, response.status_code, response.content)


def day_query(tables: tuple[str, ...], accepted: AcceptedEvents) -> str:
    """Return the query for the distinct uids of an organization in the tables."""
    start, end = to_iso(accepted.start), to_iso(accepted.end)
    return (
        f"union {', '.join(tables)}\n"
        f"| where Organization == {json.dumps(accepted.organization, ensure_ascii=False)}\n"
        f"| where EventCreationTime >= datetime({start}) and EventCreationTime < datetime({end})\n"
        "| distinct EventUid"
    )


def stored_uids(name: str, status: int, content: bytes) -> set[str]:
    """Return the uids of an answer. Raises ReadBackError for each that is not all of it."""
    try:
        answer = json.loads(content)
        error = answer.get("error")
        if status == 200 and error is None:
            (table,) = [each for each in answer["tables"] if each["name"] == "PrimaryResult"]
            (column,) = table["columns"]
            if column["name"] == "EventUid":
                return {uid for (uid,) in table["rows"] if uid is not None}
        code, message = _cause(error or {})
    except (ValueError, LookupError, TypeError, AttributeError):
        code, message = "", "its answer is not that of Log Analytics"
    raise ReadBackError(_problem(name, status, code, message))


def _cause(error: dict[str, Any]) -> tuple[str, str]:
    """Return code and message of the innermost cause, which is the one that names a table or a limit."""
    while isinstance(inner := error.get("innererror"), dict):
        error = inner
    return str(error.get("code", "")), one_line(str(error.get("message", "it says no more")))


def _problem(name: str, status: int, code: str, message: str) -> str:
    said = f"({status} {code}: {message})" if code else f"({status}: {message})"
    match status:
        case 200:
            return f"The workspace answered in part {said}. Try again; a day of more than 500,000 events cannot be read back."
        case 400 if code in {"SemanticError", "SEM0100"} or "resolve" in message:
            return (
                f"The workspace has no such table or column yet {said}. A table shows some minutes after its first rows; else check"
                f" destinations.{name}.read_back_tables."
            )
        case 401 | 403:
            return f"The workspace refuses destinations.{name}.read_back_credential {said}. {_ROLE}."
        case 404:
            return f"The workspace is not known {said}. Check destinations.{name}.workspace_id."
        case 429 | 500 | 502 | 503 | 504:
            return f"The workspace does not answer now {said}. Try again in some minutes."
    return f"The query failed {said}. Check destinations.{name}.workspace_id and read_back_tables."

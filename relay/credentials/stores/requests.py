"""Requests to stores: one call, one request, one JSON object as its answer."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from relay.credentials.stores.error import SecretStoreError
from relay.errors import SettingsError, describe, one_line
from relay.http import create_tls_context, open_transport

MAX_ANSWER_BYTES = 1024 * 1024
"""The largest answer that is read. A secret of any store has at most 64 KiB (Google; AWS 64 KiB, Azure 25 KiB)."""
REQUEST_SECONDS = 8.0
"""Time for each step of a request; the time of a whole attempt is bounded by the cache."""
_BUSY = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """An answer. `body`: its JSON object; empty if it is none, as it is the page of a proxy."""

    status: int
    body: Mapping[str, Any] = field(repr=False)
    text: str = field(default="", repr=False)

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def transient(self) -> bool:
        """Return whether the store failed, or was busy: the same request may succeed later."""
        return self.status in _BUSY or self.status >= 500


def open_client(ca_file: Path | None = None) -> httpx.AsyncClient:
    """Return a client that follows no redirect, since its headers hold a token. Raises SecretStoreError."""
    try:
        return httpx.AsyncClient(
            transport=open_transport(create_tls_context(ca_file), max_body_bytes=MAX_ANSWER_BYTES),
            trust_env=False,
            follow_redirects=False,
            timeout=REQUEST_SECONDS,
        )
    except (SettingsError, OSError) as error:
        raise SecretStoreError(f"no connection is possible: {describe(error)}") from error


async def send(client: httpx.AsyncClient, method: str, url: str, **options: Any) -> StoreAnswer:
    """Send a request. `options`: those of httpx. Raises SecretStoreError if no whole answer came; it shows no header and no body."""
    try:
        response = await client.request(method, url, **options)
    except (httpx.LocalProtocolError, UnicodeError):
        # the text of the error shows the header, and the chain would show it in a traceback
        raise SecretStoreError(
            "its login cannot be sent: it has a line break, or a character that no header may have. Write the login alone, on one"
            " line."
        ) from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        host = httpx.URL(url).host
        raise SecretStoreError(
            f"{host} did not answer: {one_line(describe(error), 200)}. Check the network, the proxy and the name of the host.",
            transient=True,
        ) from error
    return StoreAnswer(response.status_code, _json_object(response.content), response.text)


def _json_object(content: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}

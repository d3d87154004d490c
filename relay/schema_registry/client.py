"""A schema registry with Confluent's API: Confluent's own, Apicurio (/apis/ccompat/v7), Karapace, Redpanda.

One function makes one call, and what can go wrong comes back as a value.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from relay.avro.codec import SchemaId, read_schema
from relay.config.schema_registry import SchemaRegistry
from relay.credentials.redaction import Redactor, basic
from relay.errors import RelayError, one_line
from schemas import Schema

FULL_TRANSITIVE = "FULL_TRANSITIVE"
TOTAL_SECONDS = 15.0

_STEP_SECONDS = 5.0
_CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"


@dataclass(frozen=True, slots=True)
class Missing:
    """There is none, for sure: asking again will not help."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Nobody could say; it passes, or is for an operator to put right."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A schema is invalid, or incompatible with an earlier version."""

    reason: str


Failure = Missing | Unavailable | Refused


@dataclass(frozen=True, slots=True)
class Registered:
    """A version of a subject."""

    id: SchemaId
    version: int
    schema: Schema


class Registry:
    """Every call ends within TOTAL_SECONDS; nothing is kept and nothing tried twice."""

    def __init__(self, client: httpx.AsyncClient, scrub: Callable[[str], str] = str) -> None:
        """`scrub` takes our password out of what the registry says, should it repeat it."""
        self._client = client
        self._scrub = scrub

    @property
    def url(self) -> str:
        return str(self._client.base_url).rstrip("/")

    async def by_id(self, ref: SchemaId) -> Schema | Failure:
        """Missing also where the id is known, but not to be that of an Avro record."""
        answer = await self._ask("GET", f"schemas/ids/{ref.value}")
        if not isinstance(answer, dict):
            return answer
        schema = read_schema(str(answer.get("schema")))
        return schema or Missing(f"{ref} of the schema registry is not that of an Avro record")

    async def lookup(self, subject: str, schema: Schema) -> SchemaId | Failure:
        """The id under which this very schema is registered in a subject."""
        return self._id(await self._ask("POST", f"subjects/{_quoted(subject)}", _text(schema)))

    async def register(self, subject: str, schema: Schema) -> SchemaId | Failure:
        """Add a version to a subject; a schema that is there already keeps its id."""
        return self._id(await self._ask("POST", f"subjects/{_quoted(subject)}/versions", _text(schema)))

    async def latest(self, subject: str) -> Registered | Failure:
        answer = await self._ask("GET", f"subjects/{_quoted(subject)}/versions/latest")
        if not isinstance(answer, dict):
            return answer
        match answer, read_schema(str(answer.get("schema"))):
            case {"id": int(value), "version": int(version)}, dict(schema):
                return Registered(SchemaId(value), version, schema)
        return _strange(self.url)

    async def compatible(self, subject: str, schema: Schema) -> Failure | None:
        """None: a subject could take this schema as its next version. Missing: there is no such subject."""
        path = f"compatibility/subjects/{_quoted(subject)}/versions?verbose=true"
        answer = await self._ask("POST", path, _text(schema))
        if not isinstance(answer, dict):
            return answer
        if answer.get("is_compatible") is True:
            return None
        messages = "; ".join(map(str, answer.get("messages") or ["the registry does not say why"]))
        return Refused(one_line(messages))

    async def compatibility(self, subject: str) -> str | Failure:
        """What a subject demands of new versions, or the registry of all subjects; such as FULL_TRANSITIVE."""
        answer = await self._ask("GET", f"config/{_quoted(subject)}?defaultToGlobal=true")
        return str(answer.get("compatibilityLevel")) if isinstance(answer, dict) else answer

    async def demand_full_transitive(self, subject: str) -> Failure | None:
        """From now on every version of a subject must read every other."""
        body = {"compatibility": FULL_TRANSITIVE}
        answer = await self._ask("PUT", f"config/{_quoted(subject)}", body)
        return None if isinstance(answer, dict) else answer

    async def _ask(
        self, method: str, path: str, body: dict[str, str] | None = None
    ) -> dict[str, Any] | Failure:
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                response = await self._client.request(method, path, json=body)
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            told = one_line(str(error)) or type(error).__name__
            return Unavailable(f"The schema registry at {self.url} does not answer: {told}.")
        return _understand(self.url, response.status_code, response.content, self._scrub)

    def _id(self, answer: dict[str, Any] | Failure) -> SchemaId | Failure:
        match answer:
            case {"id": int(value)}:
                return SchemaId(value)
            case dict():
                return _strange(self.url)
        return answer


@asynccontextmanager
async def open_registry(settings: SchemaRegistry) -> AsyncIterator[Registry]:
    """The registry at `settings.url`, which must be set. Nothing is asked yet."""
    auth, redactor = None, Redactor()
    if settings.username is not None:
        password = settings.password.get_secret_value() if settings.password else ""
        auth = httpx.BasicAuth(settings.username, password)
        redactor.add(password)
        redactor.add(basic(settings.username, password))
    async with httpx.AsyncClient(
        base_url=str(settings.url),
        auth=auth,
        verify=_trust(settings),
        headers={"Accept": f"{_CONTENT_TYPE}, application/json", "Content-Type": _CONTENT_TYPE},
        timeout=_STEP_SECONDS,
        trust_env=False,  # a .netrc would send other credentials
    ) as client:
        yield Registry(client, redactor)


def _trust(settings: SchemaRegistry) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:
        raise RelayError(
            f"The certificates that the schema registry's is checked against cannot be read: {error}."
            " Check schema_registry.ca_file."
        ) from error


def _understand(
    url: str, status: int, content: bytes, scrub: Callable[[str], str]
) -> dict[str, Any] | Failure:
    """What an answer means. Missing takes Confluent's own code: a proxy's or a wrong path's 404 proves nothing."""
    body = _object(content)
    said = one_line(scrub(str(body.get("message", ""))))
    match status:
        case 200 if body:
            return body
        case 401:
            return Unavailable(
                f"The schema registry at {url} does not accept our user and password (401): check"
                " schema_registry.username and schema_registry.password."
            )
        case 403:
            return Unavailable(
                f"The schema registry at {url} knows our user but does not let it do this (403): give it the right."
            )
        case 404 if body.get("error_code") in _NOT_FOUND:
            return Missing(said or "not found")
        case 409 | 422:
            return Refused(said or f"status {status} without a word")
        case 408 | 429 | 500 | 502 | 503 | 504:
            return Unavailable(f"The schema registry at {url} fails for now ({status}). {said}".rstrip())
    return _strange(url, status)


# Confluent's API: 40401 subject, 40402 version, 40403 schema, 40408 compatibility of a subject not found
_NOT_FOUND = (40401, 40402, 40403, 40408)


def _strange(url: str, status: int = 200) -> Unavailable:
    return Unavailable(
        f"{url} answers ({status}), but not as a schema registry does: check the path in schema_registry.url."
    )


def _object(content: bytes) -> dict[str, Any]:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _text(schema: Schema) -> dict[str, str]:
    return {"schema": json.dumps(schema)}


def _quoted(subject: str) -> str:
    return quote(subject, safe="")

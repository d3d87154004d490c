"""Call a schema registry with Confluent's API: Confluent's own, Apicurio (/apis/ccompat/v7), Karapace or Redpanda.

One method makes one call. A failure is returned as a value.
"""

import asyncio
import http.cookiejar
import json
import ssl
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import SecretStr

from relay.avro.codec import SchemaId, read_schema
from relay.config.schema_registry import SchemaRegistryConfig
from relay.credentials.redaction import Redactor, basic_auth
from relay.credentials.stores.stored_secret import StoredSecret
from relay.errors import RelayError, one_line
from relay.http import create_tls_context, open_transport
from schemas import Schema

FULL_TRANSITIVE = "FULL_TRANSITIVE"
MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""The largest answer that is read, decompressed. A schema may have 1 MB (Confluent, max.schema.size), quoted in JSON."""
_CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"


@dataclass(frozen=True, slots=True)
class RegistryTiming:
    """How long a call waits, in seconds."""

    total_seconds: float = 15.0
    """For the whole call."""
    step_seconds: float = 5.0
    """For each step of it: connecting, sending, receiving more bytes."""


DEFAULT_TIMING = RegistryTiming()


@dataclass(frozen=True, slots=True)
class Missing:
    """The registry does not have it. Asking again does not help."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The registry did not answer the question. It passes, or an operator must fix what `reason` says."""

    reason: str


@dataclass(frozen=True, slots=True)
class SchemaRejected:
    """The registry rejects the schema: it is invalid, or incompatible with an earlier version."""

    reason: str


RegistryFailure = Missing | Unavailable | SchemaRejected


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """A version of a subject."""

    id: SchemaId
    version: int
    schema: Schema


def value_subject(topic: str) -> str:
    """Return the subject of a topic's values in a schema registry (TopicNameStrategy)."""
    return f"{topic}-value"


class SchemaRegistryClient:
    """One call each, without retry or cache. A call ends within `timing.total_seconds`."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        redact: Callable[[str], str] = str,
        timing: RegistryTiming = DEFAULT_TIMING,
    ) -> None:
        """Wrap an HTTP client. `redact` removes the password from messages of the registry, which may repeat it."""
        self._client = client
        self._redact = redact
        self._timing = timing

    @property
    def url(self) -> str:
        return str(self._client.base_url).rstrip("/")

    async def by_id(self, ref: SchemaId) -> Schema | RegistryFailure:
        """Return the schema with this id. Missing, also if it is not the schema of an Avro record."""
        answer = await self._call("GET", f"schemas/ids/{ref.value}")
        if not isinstance(answer, dict):
            return answer
        schema = read_schema(str(answer.get("schema")))
        return schema or Missing(f"{ref} of the schema registry is not the schema of an Avro record")

    async def lookup(self, subject: str, schema: Schema) -> SchemaId | RegistryFailure:
        """Return the id under which a subject holds exactly this schema."""
        return self._id(await self._call("POST", f"subjects/{_quoted(subject)}", _schema_body(schema)))

    async def register(self, subject: str, schema: Schema) -> SchemaId | RegistryFailure:
        """Add a version to a subject, and return its id. A schema that the subject holds keeps its id."""
        return self._id(
            await self._call("POST", f"subjects/{_quoted(subject)}/versions", _schema_body(schema))
        )

    async def latest(self, subject: str) -> RegisteredSchema | RegistryFailure:
        """Return the last version of a subject."""
        answer = await self._call("GET", f"subjects/{_quoted(subject)}/versions/latest")
        if not isinstance(answer, dict):
            return answer
        match answer, read_schema(str(answer.get("schema"))):
            case {"id": value, "version": int(version)}, dict(schema) if _is_id(value):
                return RegisteredSchema(SchemaId(value), version, schema)
        return _unexpected_answer(self.url)

    async def check_compatibility(self, subject: str, schema: Schema) -> RegistryFailure | None:
        """Return None if a subject accepts this schema as its next version. Missing: the subject does not exist."""
        path = f"compatibility/subjects/{_quoted(subject)}/versions?verbose=true"
        answer = await self._call("POST", path, _schema_body(schema))
        if not isinstance(answer, dict):
            return answer
        if answer.get("is_compatible") is True:
            return None
        messages = "; ".join(map(str, answer.get("messages") or ["the registry gives no reason"]))
        return SchemaRejected(one_line(messages))

    async def compatibility_level(self, subject: str) -> str | RegistryFailure:
        """Return the compatibility level of a subject, such as FULL_TRANSITIVE: its own, or the registry's default."""
        answer = await self._call("GET", f"config/{_quoted(subject)}?defaultToGlobal=true")
        return str(answer.get("compatibilityLevel")) if isinstance(answer, dict) else answer

    async def set_full_transitive(self, subject: str) -> RegistryFailure | None:
        """Require that every version of a subject can read every other. Return None, or the failure."""
        body = {"compatibility": FULL_TRANSITIVE}
        answer = await self._call("PUT", f"config/{_quoted(subject)}", body)
        return None if isinstance(answer, dict) else answer

    async def _call(
        self, method: str, path: str, body: dict[str, str] | None = None
    ) -> dict[str, Any] | RegistryFailure:
        try:
            async with asyncio.timeout(self._timing.total_seconds):
                response = await self._client.request(method, path, json=body)
        except httpx.DecodingError as error:
            return Unavailable(
                f"The answer of the schema registry at {self.url} cannot be used: {one_line(str(error))}."
                " Check schema_registry.url, and any proxy on the way."
            )
        except Exception as error:  # noqa: BLE001 - httpx raises more than it documents
            reason = one_line(str(error)) or type(error).__name__
            return Unavailable(
                f"The schema registry at {self.url} does not answer: "
                f"{reason}. Check that it runs, and schema_registry.url."
            )
        return _interpret(self.url, response.status_code, response.content, self._redact)

    def _id(self, answer: dict[str, Any] | RegistryFailure) -> SchemaId | RegistryFailure:
        match answer:
            case {"id": value} if _is_id(value):
                return SchemaId(value)
            case dict():
                return _unexpected_answer(self.url)
        return answer


class RegistryLogin(httpx.Auth):
    """Logs each request in with the password as its file or its store has it then."""

    def __init__(self, username: str, password: SecretStr, on_secret: Callable[[str], None]) -> None:
        self._username = username
        self._password = password
        self._on_secret = on_secret

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Log a request in. After a refusal the store is asked beside the caller, whose next call uses the answer."""
        password = self._password.get_secret_value()
        login = basic_auth(self._username, password)
        for secret in (password, login):
            self._on_secret(secret)
        request.headers["Authorization"] = f"Basic {login}"
        response = yield request
        if response.status_code in {401, 403} and isinstance(self._password, StoredSecret):
            self._password.start_reread()


@asynccontextmanager
async def open_schema_registry(
    settings: SchemaRegistryConfig, timing: RegistryTiming = DEFAULT_TIMING
) -> AsyncIterator[SchemaRegistryClient]:
    """Yield a client of the registry at `settings.url`, which must be set. Sends no request."""
    redactor = Redactor()
    auth = None
    if settings.username is not None and settings.password is not None:
        auth = RegistryLogin(settings.username, settings.password, redactor.add)
    async with httpx.AsyncClient(
        base_url=str(settings.url),
        auth=auth,
        transport=open_transport(_ssl_context(settings), max_body_bytes=MAX_ANSWER_BYTES),
        headers={"Accept": f"{_CONTENT_TYPE}, application/json", "Content-Type": _CONTENT_TYPE},
        timeout=timing.step_seconds,
        trust_env=False,  # else a .netrc could replace the credentials
        # httpx cannot send back every cookie that it takes, and would fail at each call until a restart.
        cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[])),
    ) as client:
        yield SchemaRegistryClient(client, redactor, timing)


def _ssl_context(settings: SchemaRegistryConfig) -> ssl.SSLContext:
    try:
        return create_tls_context(settings.ca_file)
    except OSError as error:
        raise RelayError(
            f"The CA certificates for the schema registry cannot be read: {error}. Check schema_registry.ca_file."
        ) from error


def _interpret(
    url: str, status: int, content: bytes, redact: Callable[[str], str]
) -> dict[str, Any] | RegistryFailure:
    """Return the object of a response, or a failure.

    Only Confluent's own error codes mean Missing: the 404 of a proxy or of a wrong path proves nothing.
    """
    body = _json_object(content)
    message = one_line(redact(str(body.get("message", ""))))
    match status:
        case 200 if body:
            return body
        case 401:
            return Unavailable(
                f"The schema registry at {url} rejects the relay's user or password "
                "(401): check schema_registry.username and schema_registry.password."
            )
        case 403:
            return Unavailable(
                f"The schema registry at {url} denies this operation to "
                "the relay's user (403): grant the permission there."
            )
        case 404 if body.get("error_code") in _NOT_FOUND:
            return Missing(message or "not found")
        case 409 | 422:
            return SchemaRejected(message or f"status {status} without a reason")
        case 408 | 429 | 500 | 502 | 503 | 504:
            return Unavailable(f"The schema registry at {url} fails for now ({status}). {message}".rstrip())
    return _unexpected_answer(url, status)


# Confluent's API: 40401 subject, 40402 version, 40403 schema, 40408 compatibility of a subject not found
_NOT_FOUND = (40401, 40402, 40403, 40408)


def _unexpected_answer(url: str, status: int = 200) -> Unavailable:
    return Unavailable(
        f"{url} answers ({status}), but not as a schema registry: check the path in schema_registry.url."
    )


def _is_id(value: Any) -> bool:
    """Return whether a message can carry it: registries assign Java ints from 0 or 1 upward. In JSON true is not a number."""
    return type(value) is int and 0 <= value < 2**31


def _json_object(content: bytes) -> dict[str, Any]:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _schema_body(schema: Schema) -> dict[str, str]:
    return {"schema": json.dumps(schema)}


def _quoted(subject: str) -> str:
    return quote(subject, safe="")

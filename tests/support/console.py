"""A console without a Kafka: its snapshot is a value, and its requests go through the whole application."""

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from pydantic import SecretStr

from console.app import create_app
from console.auth import Access
from console.context import ConsoleContext, ConsoleTiming
from console.permissions import AccessRole
from console.security import session_cookie
from consumer.targets.target import Pause
from management.context import OperatorContext
from management.events.delivery import DeliveryTiming
from management.events.search import SearchTiming
from management.live_view import LiveView, Snapshot
from management.organizations.store import StoredOrganizations
from management.topic_follower import FollowerTiming, ReadState
from producer.sources.catalogue import input_rules, parse_record
from relay.avro.codec import InternalCodec
from relay.config.kafka import KafkaConfig
from relay.config.secrets import SecretsConfig
from relay.credentials.keyring import load_keyring
from relay.credentials.resolver import CredentialResolver
from relay.kafka.connection import Connection
from relay.organizations import Organization
from relay.status.model import Status
from tests.support.messages import Message
from tests.support.views import NOW

TOKEN = "token-of-the-console-in-tests"
ORIGIN = "http://127.0.0.1:8080"
KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
FORM_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]+)"')

PATIENT = ConsoleTiming(
    **dict.fromkeys(
        (
            "look_seconds",
            "event_seconds",
            "activity_seconds",
            "sign_out_seconds",
            "backfill_seconds",
            "offsets_seconds",
            "lost_seconds",
        ),
        60.0,
    ),
    search=SearchTiming(seconds=60),
    activity_search=SearchTiming(seconds=50),
    delivery=DeliveryTiming(60, 60),
    changes=FollowerTiming(read_seconds=60),
    seals=FollowerTiming(read_seconds=60),
    tail=FollowerTiming(read_seconds=60),
)
"""On a busy machine a page must miss neither the change before it nor what it reads."""


@dataclass
class Clock:
    """A clock that the test moves, in ms UTC."""

    ms: int = NOW

    def __call__(self) -> int:
        return self.ms


class RefusingTest:
    """A connection test of which nothing is asked."""

    def check_url(self, organization: Organization) -> None:
        del organization

    async def run(self, organization: Organization, key: str | None, *, new_key: bool = False) -> Any:
        raise AssertionError(f"no connection was to be tested: {organization, key, new_key}")


@dataclass
class ConsoleWorld:
    """A console, and a client that keeps cookies as a browser does."""

    context: ConsoleContext
    client: httpx.AsyncClient
    clock: Clock = field(default_factory=Clock)

    def show(
        self,
        organizations: Iterable[Organization] = (),
        statuses: Mapping[str, Status] | None = None,
        pauses: Mapping[str, Pause] | None = None,
        **fields: Any,
    ) -> None:
        """Make this the snapshot. `statuses`: by the name of their organization, or by key."""
        stored = StoredOrganizations({each.name: each for each in organizations}, {}, {})
        by_key = {
            name if "/" in name else f"producer/{name}": status for name, status in (statuses or {}).items()
        }
        values: dict[str, Any] = {"organizations": stored, "as_of": self.clock.ms} | fields
        self.context.view.snapshot = Snapshot(statuses=by_key, pauses=pauses or {}, **values)

    async def sign_in(self, name: str = "Anna") -> None:
        response = await self.client.post("/login", data={"token": TOKEN, "name": name})
        assert response.status_code == 303, response.text

    def sign_in_as(self, role: AccessRole, name: str = "Vera", **options: Any) -> None:
        """Sign a person with this role in, as an identity provider does."""
        cookie = self.context.access.sign_in(f"{name} (console)", self.clock.ms, role, **options)
        self.client.cookies.clear()
        self.client.cookies.set(session_cookie(self.context), cookie, domain="127.0.0.1", path="/")

    async def page(self, path: str, code: int = 200) -> str:
        response = await self.client.get(path)
        assert response.status_code == code, response.text
        return response.text

    async def form(self, page: str) -> dict[str, str]:
        """Return the form token of a page, as its forms send it."""
        found = FORM_TOKEN.search(await self.page(page))
        assert found
        return {"form_token": found[1]}


@asynccontextmanager
async def open_console(
    connection: Connection | None = None, connection_test: Any = None, **fields: Any
) -> AsyncIterator[ConsoleWorld]:
    """Yield a console. `connection` None: no Kafka answers. `fields`: those of its context."""
    clock = Clock()
    connection = connection or Connection(KafkaConfig(bootstrap="127.0.0.1:1"))
    secrets = SecretsConfig(keys=(SecretStr(KEY),))
    operator = OperatorContext(
        connection,
        connection_test or RefusingTest(),
        input_rules(),
        secrets,
        CredentialResolver(load_keyring(secrets), None, {}, lambda _: None),
        "anna@host",
        clock,
    )
    destinations = fields.pop("destinations", {})
    values: dict[str, Any] = {
        "keyring": None,
        "access": Access(TOKEN),
        "origins": frozenset({ORIGIN}),
        "secure": False,
        "version": "0.1.0",
        "parse_record": parse_record,
        "timing": PATIENT,
    }
    context = ConsoleContext(
        operator, destinations, view=LiveView(connection, destinations, clock), **(values | fields)
    )
    transport = httpx.ASGITransport(create_app(context), client=("192.0.2.1", 50_000))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        yield ConsoleWorld(context, client, clock)


def record_history(console: ConsoleWorld, *changes: Mapping[str, Any]) -> None:
    """Make these the history of changes, oldest first, as if it had just been read. Each has the fields of its schema that differ."""
    history = console.context.changes
    history._reset()
    base: dict[str, Any] = {"organization": "acme", "at": NOW, "who": "Anna (console)", "what": "modified"}
    for offset, fields in enumerate(changes):
        value = InternalCodec("change").encode({**base, "before": None, "after": None, **fields})
        history._take(Message(value, b"", NOW, offset=offset))
    history._follower.state = ReadState(console.clock.ms)
    history._follower._is_fresh = lambda: True  # type: ignore[method-assign]

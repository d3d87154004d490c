"""Secret stores for tests: one that a test scripts, and the simulated services."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from relay.config.secret_stores import SecretStoresConfig
from relay.credentials.stores.cache import SecretStores, SecretStoreTiming
from relay.credentials.stores.catalogue import StoreReaders
from relay.credentials.stores.reference import StoreReference
from simulators.secret_stores.service import StoreService

S = TypeVar("S", bound=StoreService)

ACME = "azure-key-vault:acme-kv/jira"
QUICK = SecretStoreTiming(attempt_seconds=60.0, total_seconds=120.0, first_backoff_seconds=0.001)


class ScriptedStore:
    """Answers each read by the next outcome of its script; the last one for ever. Counts the reads of each reference."""

    def __init__(self, *outcomes: str | Exception) -> None:
        self.outcomes = list(outcomes)
        self.reads: list[str] = []

    async def read(self, reference: StoreReference) -> str:
        self.reads.append(reference.text)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class ManualClock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def scripted_stores(
    *outcomes: str | Exception, timing: SecretStoreTiming = QUICK
) -> tuple[SecretStores, ScriptedStore, ManualClock]:
    """Return stores over a script, the script, and the clock of the stores."""
    script, clock = ScriptedStore(*outcomes), ManualClock()
    return SecretStores(script.read, timing, clock), script, clock


def stores_of(timing: SecretStoreTiming = QUICK, **settings: Any) -> SecretStores:
    """Return stores with these settings, which share nothing with those of other tests."""
    return SecretStores(StoreReaders(SecretStoresConfig(**settings), {}).read, timing)


@asynccontextmanager
async def running(service: S) -> AsyncIterator[S]:
    """Run a simulated service."""
    await service.start()
    try:
        yield service
    finally:
        await service.stop()

"""The operator context of a command, with a connection test that is open as long as the command runs."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from cli.context import CommandContext, current_operator
from management.completeness.audit_logs import SourceOf
from management.context import OperatorContext
from management.settings import Settings
from management.unreadable_redrive import ParseRecord
from producer.sources.catalogue import input_rules, open_connection_test, open_sources, parse_record
from producer.sources.contract import SourceFactory, SourceSetup
from relay.config.secrets import SecretsConfig
from relay.credentials.resolver import CredentialResolver
from relay.organizations import Organization
from relay.timestamps import now_ms


def record_parser() -> ParseRecord:
    """Return how this release reads the record of a producer's dead letter."""
    return parse_record


@asynccontextmanager
async def open_proof_sources(state: CommandContext) -> AsyncIterator[SourceFactory]:
    """Yield the sources of all organizations, with throttles of their own. Sends no request."""
    async with open_all_sources(state.settings, state.credentials(state.secrets())) as sources:
        yield sources


@asynccontextmanager
async def open_all_sources(
    settings: Settings, credentials: CredentialResolver
) -> AsyncIterator[SourceFactory]:
    """Yield the sources of all organizations, with throttles of their own. Sends no request."""
    async with open_sources(SourceSetup(settings.producer, credentials, now_ms)) as sources:
        yield sources


def audit_logs(sources: SourceFactory, organizations: Mapping[str, Organization]) -> SourceOf:
    """Return how the audit log of an organization is found by its name."""
    return lambda name: sources.source_for(organizations[name])


def ask_nothing(_name: str) -> None:
    """Return no audit log, so that none is asked."""


@asynccontextmanager
async def open_operator_context(
    state: CommandContext, secrets: SecretsConfig | None = None
) -> AsyncIterator[OperatorContext]:
    """Yield the context. `secrets` None: those of the settings."""
    secrets = state.secrets() if secrets is None else secrets
    credentials = state.credentials(secrets)
    async with open_connection_test(state.settings.producer) as connection_test:
        yield OperatorContext(
            state.connection(),
            connection_test,
            input_rules(),
            secrets,
            credentials,
            current_operator(),
            now_ms,
        )

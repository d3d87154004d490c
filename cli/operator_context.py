"""The operator context of a command, with an HTTP client that lives as long as the command."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cli.context import CommandContext, current_operator
from management.context import OperatorContext
from producer.sources.jira_cloud.client import open_client
from relay.config.secrets import SecretsConfig
from relay.timestamps import now_ms
from relay.url_policy import AllowedHosts


@asynccontextmanager
async def open_operator_context(
    state: CommandContext, secrets: SecretsConfig | None = None
) -> AsyncIterator[OperatorContext]:
    """Yield the context. `secrets` None: those of the settings."""
    producer = state.settings.producer
    hosts = AllowedHosts(producer.gateway_url, producer.allowed_hosts)
    secrets = state.secrets() if secrets is None else secrets
    credentials = state.credentials(secrets)
    async with open_client() as client:
        yield OperatorContext(
            state.connection(), client, hosts, secrets, credentials, current_operator(), now_ms
        )

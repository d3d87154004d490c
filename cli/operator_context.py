"""The operator context of a command, with a connection test that is open as long as the command runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cli.context import CommandContext, current_operator
from management.context import OperatorContext
from producer.sources.catalogue import input_rules, open_connection_test
from relay.config.secrets import SecretsConfig
from relay.timestamps import now_ms


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

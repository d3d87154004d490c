"""The console of a process: its address, and the objects that its pages use."""

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import structlog

from cli.console_token import ConsoleToken, find_token
from cli.context import current_operator
from cli.operator_context import open_all_sources
from cli.process_context import ProcessContext
from console.api_tokens import ApiTokens
from console.context import ConsoleContext
from console.oidc import OidcLogin
from console.oidc_provider import ProviderClient
from console.server import open_socket, own_origins, own_url, run_console
from management.completeness.audit_logs import AuditLogs
from management.completeness.current_key import current_key
from management.completeness.signature import SigningKey
from management.context import OperatorContext
from management.live_view import LiveView
from management.settings import Settings
from producer.sources.catalogue import input_rules, open_connection_test, parse_record
from relay.credentials.keyring import load_keyring
from relay.credentials.redaction import Redactor
from relay.credentials.resolver import CredentialResolver
from relay.credentials.stores.cache import open_stores
from relay.errors import RelayError, SettingsError
from relay.kafka.connection import Connection
from relay.lifecycle import Service
from relay.telemetry.health import Health
from relay.timestamps import now_ms

NAME = "console"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _ConsoleParts:
    """What a console has from its settings before it serves. `oidc` and `api_tokens` None: the settings name none."""

    settings: Settings
    connection: Connection
    redactor: Redactor
    token: ConsoleToken
    api_tokens: ApiTokens | None
    oidc: OidcLogin | None
    listener: socket.socket

    @property
    def url(self) -> str:
        """The address at which people reach it."""
        config = self.settings.console
        return config.public_url or own_url(config, self.listener)


def console_service(
    settings: Settings,
    connection: Connection,
    redactor: Redactor,
    health: Health,
    token: ConsoleToken,
    announce: Callable[[str], None] | None,
) -> Service:
    """Return the service. `announce`: shows a line on the terminal of the person who starts it; None: there is none.

    Raises RelayError if the address is not available.
    """
    parts = _open_parts(settings, connection, redactor, token)

    async def service(stop: asyncio.Event) -> None:
        credentials = _credentials(parts)
        async with (
            open_connection_test(settings.producer) as connection_test,
            open_all_sources(settings, credentials) as sources,
        ):
            operator = OperatorContext(
                connection,
                connection_test,
                input_rules(),
                settings.secrets,
                credentials,
                current_operator(),
                now_ms,
            )
            context = _create_context(parts, operator, credentials, sources.source_for)
            _announce(parts, context, announce)
            health.report(NAME, ok=True)
            try:
                await run_console(context, parts.listener, stop)
            finally:
                if parts.oidc is not None:
                    await parts.oidc.close()

    return service


def _open_parts(
    settings: Settings, connection: Connection, redactor: Redactor, token: ConsoleToken
) -> _ConsoleParts:
    """Read the logins of the settings, and listen. Raises RelayError if the address is not available."""
    config = settings.console
    api_tokens = None if config.api_tokens is None else ApiTokens(config.api_tokens)
    oidc = None
    if config.oidc_issuer is not None:
        oidc = OidcLogin(config, ProviderClient(config, now_ms), now_ms)
    listener = open_socket(config.listen)
    redactor.add(token.text)
    return _ConsoleParts(settings, connection, redactor, token, api_tokens, oidc, listener)


def _credentials(parts: _ConsoleParts) -> CredentialResolver:
    """Return the reader of API keys, which hides each one from the log."""
    settings = parts.settings
    return CredentialResolver(
        load_keyring(settings.secrets),
        settings.secrets.directory,
        os.environ,
        parts.redactor.add,
        open_stores(settings.secret_stores, os.environ),
    )


def _create_context(
    parts: _ConsoleParts, operator: OperatorContext, credentials: CredentialResolver, audit_logs: AuditLogs
) -> ConsoleContext:
    """Return the objects that all pages share."""
    settings = parts.settings
    return ConsoleContext(
        operator,
        settings.destinations,
        credentials.keyring,
        LiveView(parts.connection, settings.destinations, now_ms),
        parts.token.access(),
        own_origins(settings.console, parts.listener),
        (settings.console.public_url or "").startswith("https://"),
        version("jira-audit-relay"),
        parse_record,
        settings.schema_registry,
        api_tokens=parts.api_tokens,
        oidc=parts.oidc,
        audit_logs=audit_logs,
        late_days=settings.producer.late_days,
        signing=_signing_key(settings),
    )


def _signing_key(settings: Settings) -> SigningKey | None:
    """Return the key that signs days. None: none is set, or it is none; `proof seal` says so."""
    try:
        return None if settings.proof.key is None else current_key(settings.proof.key)
    except SettingsError:
        return None


def _announce(parts: _ConsoleParts, context: ConsoleContext, announce: Callable[[str], None] | None) -> None:
    """Log the address, and show a link that signs in on the terminal; `announce` None: there is none."""
    fields = {"url": parts.url} | ({"token_file": str(parts.token.file)} if parts.token.file else {})
    log.info("The console is served.", **fields)
    if announce is not None:
        code = context.access.make_link_code(now_ms())
        announce(f"Console: {parts.url}/login?code={code}\n  The link signs in once, within ten minutes.")


def terminal_announcer() -> Callable[[str], None] | None:
    """Return a function that shows a line on the terminal. None: standard output is no terminal."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return lambda text: print(text, flush=True)


def console_beside(process: ProcessContext, directory: Path | None) -> dict[str, Service]:
    """Return the console of `up`. Without a token or its address, the services run without it, and the log says so."""
    announce = terminal_announcer()
    try:
        token = find_token(process.settings, directory, on_terminal=announce is not None)
        service = console_service(
            process.settings, process.connection, process.redactor, process.health, token, announce
        )
    except RelayError as error:
        log.warning("The console is not served; the other services run.", reason=str(error))
        return {}
    return {NAME: service}

"""The context of a command: settings, connection, credentials and log redaction."""

import asyncio
import contextlib
import getpass
import logging
import os
import socket
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from management.settings import Settings, read_given
from relay.config.secrets import SecretsConfig
from relay.config.sources import SettingValues
from relay.credentials.encryption_keys import make_encryption_key_file
from relay.credentials.keyring import load_keyring
from relay.credentials.redaction import Redactor, basic_auth, file_secrets_in, secrets_in
from relay.credentials.resolver import CredentialResolver
from relay.credentials.stores.cache import open_stores
from relay.errors import RelayError, SettingsError
from relay.kafka.connection import NO_CLUSTER, Connection, KafkaUnreachableError
from relay.telemetry.logs import configure_logging

AZURE_SECRET_VARIABLES = (
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "AZURE_PASSWORD",
    "IDENTITY_HEADER",
    "MSI_SECRET",
)
LIBRARY_LOGGERS = ("aiokafka", "asyncio")


@dataclass
class CommandContext:
    """The settings of a command, read at first use: `--help` needs none."""

    config: Path | None
    patience: float = 1.0
    """That of each connection to Kafka."""

    @cached_property
    def settings(self) -> Settings:
        return self.given_settings[0]

    @cached_property
    def given_settings(self) -> tuple[Settings, SettingValues]:
        """The settings, and the values that they were made of, each with its source."""
        return read_given(self.config, os.environ)

    @cached_property
    def redactor(self) -> Redactor:
        return build_redactor(self.settings)

    def connection(self) -> Connection:
        """Return the Kafka of the settings; without one, the embedded Kafka of a running `jira-relay up`."""
        return connection_from(self.settings, self.patience)

    def external_connection(self) -> Connection:
        """Return the Kafka of the settings, for commands that require one. Raises SettingsError when none is set."""
        if self.settings.kafka.bootstrap is None:
            raise SettingsError(f"{NO_CLUSTER}, or run `jira-relay up`, which has its own.")
        return Connection(self.settings.kafka, patience=self.patience)

    def secrets(self) -> SecretsConfig:
        """Return the keys that encrypt API keys; with embedded Kafka and no setting, the key file of `jira-relay up`."""
        settings = self.settings
        if settings.kafka.bootstrap is not None or load_keyring(settings.secrets) is not None:
            return settings.secrets
        directory = settings.embedded.data_dir
        if not (directory / "kafka").is_dir():
            raise SettingsError(
                f"No key to encrypt API keys with is set, and {directory} holds no embedded Kafka. Run `jira-relay up` first, with"
                " the same embedded.data_dir, or set secrets.key_file."
            )
        return settings.secrets.model_copy(update={"key_file": make_encryption_key_file(directory)})

    def credentials(self, secrets: SecretsConfig) -> CredentialResolver:
        """Return a resolver of API keys, which adds each key that it finds to the redactor."""
        return CredentialResolver(
            load_keyring(secrets),
            secrets.directory,
            os.environ,
            self.redactor.add,
            open_stores(self.settings.secret_stores, os.environ),
        )

    def key_ids(self) -> list[str]:
        """Return the ids of the keys, the sealing key first. Empty when they cannot be used; `check` reports the reason."""
        try:
            keyring = load_keyring(self.secrets())
        except SettingsError:
            return []
        return [] if keyring is None else keyring.ids

    def run_quietly(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a short command's work with the logs of libraries silenced: a failure is raised, and printed as one sentence."""
        with contextlib.closing(work):
            configure_logging("text", "warning", self.redactor)
            for name in LIBRARY_LOGGERS:
                logging.getLogger(name).setLevel(logging.CRITICAL)
            try:
                return asyncio.run(work)
            except asyncio.CancelledError as error:  # nobody cancels a command: Ctrl-C is a KeyboardInterrupt
                raise RelayError(
                    "The client of Kafka ended a request, as when Kafka stops. Run the command again; after a change, see first whether it"
                    " was done (`jira-relay organizations history`)."
                ) from error
            except KafkaUnreachableError as error:
                if self.settings.kafka.bootstrap is not None:
                    raise
                raise KafkaUnreachableError(
                    f"{NO_CLUSTER}, or start `jira-relay up` first: no embedded Kafka answers here. {error}"
                ) from error


def build_redactor(settings: Settings) -> Redactor:
    """Return a redactor of every secret in the settings and in Azure's variables. API keys are added as they are resolved."""
    redactor = Redactor()
    for secret in (*secrets_in(settings), *(os.environ.get(name, "") for name in AZURE_SECRET_VARIABLES)):
        redactor.add(secret)
    open_stores(settings.secret_stores, os.environ).report_to(redactor.add)
    for file_secret in file_secrets_in(settings):
        file_secret.report_to(redactor.add)
    registry = settings.schema_registry
    if registry.password is not None:
        redactor.add(basic_auth(registry.username or "", registry.password.get_secret_value()))
    return redactor


def connection_from(settings: Settings, patience: float = 1.0) -> Connection:
    """Return the Kafka of the settings, or the embedded one when none is set."""
    if settings.kafka.bootstrap is not None:
        return Connection(settings.kafka, patience=patience)
    embedded = {"bootstrap": f"127.0.0.1:{settings.embedded.port}", "replication_factor": 1}
    return Connection(settings.kafka.model_copy(update=embedded), patience=patience)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def current_operator() -> str:
    """Return `USER@HOST`, the operator's name in the change log."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"

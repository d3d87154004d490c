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

from management.settings import Settings, load
from relay.config.secrets import SecretsConfig
from relay.credentials.keyring import load_keyring, make_key_file
from relay.credentials.redaction import Redactor, basic_auth, secrets_in
from relay.credentials.resolver import CredentialResolver
from relay.errors import SettingsError
from relay.kafka.connection import Connection, KafkaUnreachableError
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
    """What every command begins with: the settings, read when first needed."""

    config: Path | None

    @cached_property
    def settings(self) -> Settings:
        return load(self.config)

    @cached_property
    def redactor(self) -> Redactor:
        return build_redactor(self.settings)

    def connection(self) -> Connection:
        """The Kafka of the settings; without one, the embedded Kafka of a running `jira-relay up`."""
        return connection_from(self.settings)

    def external_connection(self) -> Connection:
        """The Kafka of the settings, for commands that make no sense without one."""
        if self.settings.kafka.bootstrap is None:
            raise SettingsError(
                "No Kafka is set: give kafka.bootstrap (RELAY_KAFKA__BOOTSTRAP), or run `jira-relay up`, which brings its own."
            )
        return Connection(self.settings.kafka)

    def secrets(self) -> SecretsConfig:
        """What keys are encrypted with; with embedded Kafka and no setting, the key file of `jira-relay up`."""
        settings = self.settings
        if settings.kafka.bootstrap is not None or load_keyring(settings.secrets) is not None:
            return settings.secrets
        directory = settings.embedded.data_dir
        if not (directory / "kafka").is_dir():
            raise SettingsError(
                f"There is no embedded Kafka in {directory}, and no other place for the key that encrypts API keys: run"
                " `jira-relay up` first, with the same embedded.data_dir, or set secrets.key_file."
            )
        return settings.secrets.model_copy(update={"key_file": make_key_file(directory)})

    def credentials(self, secrets: SecretsConfig) -> CredentialResolver:
        return CredentialResolver(load_keyring(secrets), secrets.directory, os.environ, self.redactor.add)

    def key_ids(self) -> list[str]:
        """What the keys are called that encrypt; none where they cannot be used, of which `check` tells."""
        try:
            keyring = load_keyring(self.secrets())
        except SettingsError:
            return []
        return [] if keyring is None else keyring.ids

    def run_quietly(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of a short command's work; libraries may not speak meanwhile, what is wrong is raised."""
        with contextlib.closing(work):
            configure_logging("text", "warning", self.redactor)
            for name in LIBRARY_LOGGERS:
                logging.getLogger(name).setLevel(logging.CRITICAL)
            try:
                return asyncio.run(work)
            except KafkaUnreachableError as error:
                if self.settings.kafka.bootstrap is not None:
                    raise
                raise KafkaUnreachableError(
                    f"No Kafka is set (kafka.bootstrap), and none of `jira-relay up` answers here: start that first. {error}"
                ) from error


def build_redactor(settings: Settings) -> Redactor:
    """Knows every secret that this process was given, before it reads any key of an organization."""
    redactor = Redactor()
    for secret in (*secrets_in(settings), *(os.environ.get(name, "") for name in AZURE_SECRET_VARIABLES)):
        redactor.add(secret)
    registry = settings.schema_registry
    if registry.password is not None:
        redactor.add(basic_auth(registry.username or "", registry.password.get_secret_value()))
    return redactor


def connection_from(settings: Settings) -> Connection:
    """The Kafka of the settings, or the embedded one where none is set."""
    if settings.kafka.bootstrap is not None:
        return Connection(settings.kafka)
    embedded = {"bootstrap": f"127.0.0.1:{settings.embedded.port}", "replication_factor": 1}
    return Connection(settings.kafka.model_copy(update=embedded))


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def current_operator() -> str:
    """The operator, as far as this machine knows."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"

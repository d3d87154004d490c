"""Every setting, with the sentence that docs/settings.md shows for it.

A value comes from the environment (`RELAY_<GROUP>__<NAME>`), else from a TOML file, else from here.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator

from consumer.config import ConsumerConfig
from consumer.destinations import DESTINATIONS
from consumer.destinations.contract import DestinationConfig
from producer.config import ProducerConfig
from relay.config import sources
from relay.config import validators as values
from relay.config.base import ByKind, ConfigModel, ListenAddress, Url
from relay.config.embedded import EmbeddedConfig
from relay.config.kafka import KafkaConfig
from relay.config.schema_registry import SchemaRegistryConfig
from relay.config.secrets import SecretsConfig
from relay.config.telemetry import TelemetryConfig

DestinationName = Annotated[str, AfterValidator(values.require_destination_name)]
AnyDestination = Annotated[
    DestinationConfig, ByKind(lambda: {name: kind.config for name, kind in DESTINATIONS.items()})
]


class ConsoleConfig(ConfigModel):
    """The management page."""

    listen: ListenAddress = Field(
        default="127.0.0.1:8080", description="Address and port of the page.", examples=["0.0.0.0:8080"]
    )
    token: SecretStr | None = Field(
        default=None, description="What a visitor must show to be let in.", examples=["…"]
    )
    public_url: Url | None = Field(
        default=None,
        description="The page's address as its visitors know it.",
        examples=["https://relay.example.com"],
    )


class Settings(ConfigModel):
    kafka: KafkaConfig = KafkaConfig()
    schema_registry: SchemaRegistryConfig = SchemaRegistryConfig()
    producer: ProducerConfig = ProducerConfig()
    consumer: ConsumerConfig = ConsumerConfig()
    destinations: dict[DestinationName, AnyDestination] = Field(default_factory=dict)
    console: ConsoleConfig = ConsoleConfig()
    secrets: SecretsConfig = SecretsConfig()
    telemetry: TelemetryConfig = TelemetryConfig()
    embedded: EmbeddedConfig = EmbeddedConfig()

    @model_validator(mode="before")
    @classmethod
    def _default_kind_to_name(cls, given: Any) -> Any:
        destinations = given.get("destinations") if isinstance(given, dict) else None
        if not isinstance(destinations, dict):
            return given
        named = {
            name: {"kind": name} | fields if name in DESTINATIONS and isinstance(fields, dict) else fields
            for name, fields in destinations.items()
        }
        return given | {"destinations": named}


def load(config: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process: of the environment, else of the file, else the defaults.

    The file is `config`, or relay.toml in the working directory if there is one. Raises SettingsError, with a sentence for
    each fault; no sentence holds a secret.
    """
    given = sources.read_settings(Settings, config, os.environ if environ is None else environ)
    try:
        return Settings.model_validate(given.to_tree())
    except ValidationError as error:
        raise given.explain(error) from None

"""All settings, composed of the groups of every room.

A value is taken from the environment (`RELAY_<GROUP>__<NAME>`), else from a TOML file, else from the defaults in the code.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError, model_validator

from consumer.config import ConsumerConfig
from consumer.destinations.catalogue import DESTINATIONS
from consumer.destinations.contract import DestinationConfig
from producer.sources.catalogue import ProducerSettings
from relay.config import sources
from relay.config import validators as values
from relay.config.base import ByKind, ConfigModel
from relay.config.console import ConsoleConfig
from relay.config.embedded import EmbeddedConfig
from relay.config.kafka import KafkaConfig
from relay.config.proof import ProofConfig
from relay.config.schema_registry import SchemaRegistryConfig
from relay.config.secret_stores import SecretStoresConfig
from relay.config.secrets import SecretsConfig
from relay.config.setting_value import References
from relay.config.telemetry import TelemetryConfig
from relay.errors import SettingsError

DestinationName = Annotated[str, AfterValidator(values.require_destination_name)]
AnyDestination = Annotated[
    DestinationConfig, ByKind(lambda: {name: kind.config for name, kind in DESTINATIONS.items()})
]


def _check_rules(destinations: dict[str, DestinationConfig]) -> dict[str, DestinationConfig]:
    """Refuse filters, privacy rules and shared places that cannot work, before any service starts."""
    faults = [*_rule_faults(destinations), *_shared_places(destinations)]
    if faults:
        raise ValueError("\n".join(faults))
    return destinations


def _rule_faults(destinations: Mapping[str, DestinationConfig]) -> list[str]:
    ruled = {name: config for name, config in destinations.items() if config.where is not None or config.hide}
    if not ruled:
        return []
    from consumer.decoding.event_rules import compile_rules  # noqa: PLC0415 - opens polars, which few commands use

    faults = []
    for name, config in ruled.items():
        try:
            compile_rules(name, config)
        except SettingsError as error:
            faults.append(str(error))
    return faults


def _shared_places(destinations: Mapping[str, DestinationConfig]) -> list[str]:
    """Return a fault for each destination that writes to a place of an earlier one, which is to be the only writer there."""
    owners: dict[str, str] = {}
    faults = []
    for name, config in destinations.items():
        places = set(DESTINATIONS[config.kind].own_places(config))
        if other := next((owners[each] for each in sorted(places & owners.keys())), None):
            faults.append(
                f"destinations.{other} and destinations.{name} write to one folder, where an event could be stored twice or not at all:"
                f" give destinations.{name}.location a prefix of its own."
            )
        owners |= dict.fromkeys(places, name)
    return faults


class Settings(ConfigModel):
    kafka: KafkaConfig = KafkaConfig()
    schema_registry: SchemaRegistryConfig = SchemaRegistryConfig()
    producer: ProducerSettings = ProducerSettings()
    consumer: ConsumerConfig = ConsumerConfig()
    destinations: Annotated[dict[DestinationName, AnyDestination], AfterValidator(_check_rules)] = Field(
        default_factory=dict
    )
    secrets: SecretsConfig = SecretsConfig()
    secret_stores: SecretStoresConfig = SecretStoresConfig()
    proof: ProofConfig = ProofConfig()
    console: ConsoleConfig = ConsoleConfig()
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
    """Load the settings of this process: from the environment, else from the file, else the defaults.

    The file is `config`. None: relay.toml in the working directory, if it exists. Raises SettingsError with a line for each
    fault; no line holds a secret.
    """
    settings, _ = read_given(config, os.environ if environ is None else environ)
    return settings


def read_given(config: Path | None, environ: Mapping[str, str]) -> tuple[Settings, sources.SettingValues]:
    """Return the settings, and the values they were made of, each with its source. Raises SettingsError as `load` does."""
    given = sources.read_settings(Settings, config, environ)
    try:
        if any(isinstance(each.value, References) for each in given.values.values()):
            given = _with_stored_secrets(given, environ)
        return Settings.model_validate(given.to_tree()), given
    except ValidationError as error:
        raise given.explain(error) from None


def _with_stored_secrets(given: sources.SettingValues, environ: Mapping[str, str]) -> sources.SettingValues:
    """Read what references name. Raises SettingsError, and ValidationError for the settings of the stores."""
    from management.secret_references import read_references  # noqa: PLC0415 - opens HTTP clients

    stores = {name[1]: each.resolved for name, each in given.values.items() if name[0] == "secret_stores"}
    return read_references(given, Settings.model_validate({"secret_stores": stores}).secret_stores, environ)

"""The connection of a destination to its cluster: settings as they are now, with the files of their secrets read again."""

from typing import Any

from pydantic import ValidationError

from consumer.destinations.kafka.config import EVENT_HUBS_RECORD_BYTES, TopicConfig
from consumer.destinations.kafka.response import in_settings_of
from consumer.destinations.secret_files import read_secret
from relay.config.kafka import KafkaConfig
from relay.errors import RelayError

_FIELDS = (
    *("profile", "security_protocol", "sasl_mechanism", "sasl_username"),
    *("oauth_token_url", "oauth_client_id", "oauth_scope", "oauth_ca_file", "oauth_credential"),
    *("ca_file", "certificate_file", "key_file"),
)
_CONNECTION = (
    *_FIELDS,
    "sasl_password",
    "sasl_password_file",
    "oauth_client_secret",
    "oauth_client_secret_file",
)


def connection_settings(name: str, config: TopicConfig) -> KafkaConfig:
    """Return how to connect to the cluster of a destination; with no brokers of its own, as the relay connects to its own.

    Raises RelayError for settings that do not fit together, and for files that cannot be read; it shows no secret.
    """
    settings = _own(name, config) if config.bootstrap_servers is None else _other(name, config)
    if settings.profile == "event-hubs" and config.max_record_bytes > EVENT_HUBS_RECORD_BYTES:
        raise RelayError(
            f"destinations.{name}.max_record_bytes is {config.max_record_bytes}, and Event Hubs takes no request above 1,046,528"
            f" bytes. Set it to at most {EVENT_HUBS_RECORD_BYTES}."
        )
    return settings


def _other(name: str, config: TopicConfig) -> KafkaConfig:
    given: dict[str, Any] = {field: getattr(config, field) for field in _FIELDS}
    given["bootstrap"] = config.bootstrap_servers
    given["sasl_password"] = read_secret(
        name, "sasl_password", config.sasl_password, config.sasl_password_file
    )
    given["oauth_client_secret"] = read_secret(
        name, "oauth_client_secret", config.oauth_client_secret, config.oauth_client_secret_file
    )
    try:
        return KafkaConfig(**given)
    except ValidationError as error:
        faults = [
            _fault(each["loc"], str(each["msg"]).removeprefix("Value error, ")) for each in error.errors()
        ]
        raise RelayError(f"{in_settings_of(name, '. '.join(faults))}.") from None


def _fault(setting: tuple[int | str, ...], message: str) -> str:
    """Return a message with the setting of the group kafka that it is about; one about several names them itself."""
    return f"kafka.{setting[0]} {message}" if setting else message


def _own(name: str, config: TopicConfig) -> KafkaConfig:
    if config.own is None or config.own.bootstrap is None:
        raise RelayError(
            f"destinations.{name} has no bootstrap_servers. Set them to the brokers of its cluster."
        )
    unused = [
        field for field in _CONNECTION if getattr(config, field) != TopicConfig.model_fields[field].default
    ]
    if unused:
        raise RelayError(
            f"destinations.{name}.{unused[0]} is set without bootstrap_servers, and the relay's own cluster has its settings in the"
            " group kafka. Set bootstrap_servers, or remove it."
        )
    return config.own

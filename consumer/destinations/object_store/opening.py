"""The store of a URL of the settings."""

from consumer.destinations.object_store.config import ObjectStoreConfig, parse_location
from consumer.destinations.object_store.directory import DirectoryStore
from consumer.destinations.object_store.store import Store
from relay.errors import RelayError
from relay.http import environment_ca_file


def open_store(name: str, config: ObjectStoreConfig, request_timeout_seconds: float) -> Store:
    """Open the store; no request is made. Raises RelayError for settings, files or variables that cannot be used."""
    location = parse_location(config.location)
    if location.scheme == "file":
        return DirectoryStore(location.directory, name)
    try:
        from consumer.destinations.object_store.clients import open_client  # noqa: PLC0415
        from consumer.destinations.object_store.cloud import CloudStore  # noqa: PLC0415
    except ImportError as error:
        raise RelayError(
            f"destinations.{name} needs the library obstore. Install jira-audit-relay[object-store]."
        ) from error
    return CloudStore(
        lambda: open_client(name, config, location, request_timeout_seconds),
        config.location,
        name,
        [file for file in (config.ca_file, environment_ca_file()) if file is not None],
    )

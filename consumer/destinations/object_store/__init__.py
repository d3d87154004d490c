"""Object store: Parquet objects on S3, Azure Blob Storage, Google Cloud Storage, or in a directory.

Enters: events as columns, with the offset of each.
Leaves: objects named by partition and first offset, created only if absent: each event is in exactly one object.
May not know: Kafka, delivery. docs/destinations/object-store.md is the operator's page.
"""

from consumer.destinations.contract import DestinationKind, OpenFlows
from consumer.destinations.object_store.config import ObjectStoreConfig, identity
from consumer.destinations.object_store.response import classify_status
from consumer.destinations.read_back import OpenReadBack


def _open(name: str, config: ObjectStoreConfig, request_timeout_seconds: float) -> OpenFlows:
    from consumer.destinations.object_store.destination import open_object_store  # noqa: PLC0415 - see DestinationKind.open

    return open_object_store(name, config, request_timeout_seconds)


def _own_folders(config: ObjectStoreConfig) -> set[str]:
    from consumer.destinations.object_store.layout import own_folders  # noqa: PLC0415 - opens polars

    return own_folders(config)


def _read_back(name: str, config: ObjectStoreConfig) -> OpenReadBack:
    from consumer.destinations.object_store.read_back import open_read_back  # noqa: PLC0415 - see DestinationKind.open

    return open_read_back(name, config)


OBJECT_STORE = DestinationKind(
    ObjectStoreConfig,
    _open,
    identity,
    classify_status,
    request_timeout_seconds=40.0,
    own_places=_own_folders,
    read_back=_read_back,
)

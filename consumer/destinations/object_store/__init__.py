"""Object store: Parquet objects on S3, Azure Blob Storage, Google Cloud Storage, or in a directory.

Enters: events as columns, with the offset of each.
Leaves: objects named by partition and first offset, created only if absent: each event is in exactly one object.
May not know: Kafka, delivery. docs/destinations/object-store.md is the operator's page.
"""

from consumer.destinations.contract import DestinationKind
from consumer.destinations.object_store.config import ObjectStoreConfig, identity
from consumer.destinations.object_store.destination import open_object_store
from consumer.destinations.object_store.layout import own_folders
from consumer.destinations.object_store.response import classify_status

OBJECT_STORE = DestinationKind(
    ObjectStoreConfig,
    open_object_store,
    identity,
    classify_status,
    request_timeout_seconds=40.0,
    own_places=own_folders,
)

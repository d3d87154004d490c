"""The causes that keep a cluster from writing to an index, each with its own remedy. No document is to blame for one."""

from consumer.destinations.elasticsearch.items import BulkError
from consumer.destinations.outcome import Paused, Retry

_FULL_DISK = "flood-stage"


def explain_block(error: BulkError, status: int, index: str) -> Paused | Retry | None:
    """Return what an error of a known type means, and what to do. None: its type says nothing. `index` is the target's name.

    Sources: Elasticsearch, "Fix watermark errors", "Index blocks"; answers of OpenSearch 3.8 in the tests.
    """
    said = f"{status} {error.text}".strip()
    match error.type:
        case "cluster_block_exception" if _FULL_DISK in error.reason or status == 429:
            return Retry(
                f"The cluster's disks are full, so it blocks writing to {index} ({said}). Free or add disk space; the block ends by"
                " itself.",
                status,
            )
        case "cluster_block_exception":
            return Paused(
                f"Writing to {index} is blocked ({said}). Remove the block: index.blocks.write, index.blocks.read_only or"
                " cluster.blocks.read_only.",
                status,
            )
        case "index_closed_exception":
            return Paused(f"An index of {index} is closed ({said}). Open it.", status)
        case "index_not_found_exception":
            return Paused(
                f"{index} does not exist and is not created ({said}). Load the templates of deploy/elasticsearch, and allow"
                " action.auto_create_index. If the name belongs to another object, rename one of both.",
                status,
            )
        case "validation_exception":
            return Paused(
                f"The cluster cannot create an index for {index} ({said}). Delete old indices, or raise"
                " cluster.max_shards_per_node.",
                status,
            )
        case _:
            return None

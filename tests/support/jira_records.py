"""Records of Jira, compared."""

from collections.abc import Collection, Mapping
from typing import Any

from producer.sources.jira_cloud.mapping import CHANGE_FIELDS, ITEM_FIELDS, TEXT_FIELDS


def without_nulls(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record without null members that the schema names: in Jira they mean the same as absent ones."""

    def item(value: Any, names: Collection[str]) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: one for name, one in value.items() if name not in names or one is not None}

    lists = {"changedValues": CHANGE_FIELDS, "associatedItems": ITEM_FIELDS}
    known = {*TEXT_FIELDS, "objectItem", *lists}
    kept = {name: value for name, value in record.items() if name not in known or value is not None}
    kept |= {name: item(kept[name], ITEM_FIELDS) for name in ("objectItem",) if name in kept}
    return kept | {
        name: [item(one, names) for one in kept[name]]
        for name, names in lists.items()
        if isinstance(kept.get(name), list)
    }
